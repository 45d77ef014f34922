"""Restricts browsers: security policies and the other headers of every response. Pure."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping

_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_NO_FRAMES = "base-uri 'none'; frame-ancestors 'none'"

EVERYWHERE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not less: without an Origin a browser's own form could not be told from one of another site.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Pages of others that a locustfile adds to the web UI keep their scripts.
POLICY_OF_OTHERS = "frame-ancestors 'none'"
POLICY_OF_DATA = f"default-src 'none'; form-action 'none'; {_NO_FRAMES}"
# Our own page: its script and style are files of ours.
POLICY_OF_PANEL = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"form-action 'self'; {_NO_FRAMES}"
)
# Reports: one file without any script. Their plots have styles of their own.
POLICY_OF_REPORT = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; {_NO_FRAMES}"


def policy_of_locust(html: str) -> str:
    """Return the policy of Locust's page: our scripts, and those in the page itself, by their hash."""
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in script_digests(html))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"font-src 'self' data:; connect-src 'self'; form-action 'self'; {_NO_FRAMES}"
    )


def script_digests(html: str) -> list[str]:
    """Return the SHA-256 of each script in the page, as a policy names it."""
    # A browser reads line ends as one character.
    texts = [text.replace("\r\n", "\n") for text in _INLINE_SCRIPT.findall(html)]
    return [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
