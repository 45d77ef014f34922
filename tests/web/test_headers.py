"""Content security policies: which scripts of a page may run."""

from __future__ import annotations

import base64
import hashlib

from inference_swarm.web.headers import policy_of_locust, script_digests


def digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def test_each_script_that_stands_in_the_page_is_named_by_its_digest_and_no_other() -> None:
    page = '<script src="./a.js"></script><SCRIPT>\n one()\r\n</SCRIPT ><script type="module">two()</script>'
    assert script_digests(page) == [digest("\n one()\n"), digest("two()")]
    policy = policy_of_locust(page)
    assert f"script-src 'self' 'sha256-{digest(chr(10) + ' one()' + chr(10))}' 'sha256-{digest('two()')}';" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_page_without_scripts_may_run_those_of_the_server_only() -> None:
    assert "script-src 'self';" in policy_of_locust("<p>none</p>")
