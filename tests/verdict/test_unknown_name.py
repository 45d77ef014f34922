"""A target whose name does not resolve: a thousand users share one look-up a second, and the run says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from swarm_processes import LOCUSTFILE, Swarm

from inference_swarm.errors import ExitCode

pytestmark = pytest.mark.processes

RUN_S = 5
# In front of whatever the product looks names up with: the C function itself.
COUNT = """
import _socket, os

ask = _socket.getaddrinfo

def count(host, *rest, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if name != "model.models.svc":
        return ask(host, *rest, **named)
    flags = rest[4] if len(rest) > 4 else named.get("flags", 0)
    if not flags & _socket.AI_NUMERICHOST:
        with open(os.environ["LOOK_UPS"] + str(os.getpid()), "a") as file:
            file.write("1")
    raise _socket.gaierror(_socket.EAI_NONAME, "Name or service not known")

_socket.getaddrinfo = count
"""


def test_a_thousand_users_look_an_unknown_name_up_once_a_second_and_end_with_the_reason(
    swarm: Swarm, rows: Path
) -> None:
    count = swarm.folder / "count.py"
    count.write_text(COUNT)
    result = swarm.run(
        "-f", f"{count},{LOCUSTFILE}", "--headless", "--host", "http://model.models.svc:8080", "--data", str(rows),
        "--results", str(swarm.results), "-u", "1000", "-r", "1000", "-t", f"{RUN_S}s", "--processes", "2",
        "--master-bind-host", "127.0.0.1", "--master-bind-port", str(swarm.master_port),
        env={"LOOK_UPS": f"{swarm.folder}/look-ups-"},
    )  # fmt: skip
    assert result.returncode == ExitCode.TARGET_UNREACHABLE, result.stderr
    look_ups = [file.stat().st_size for file in swarm.folder.glob("look-ups-*")]
    assert len(look_ups) == 2
    assert min(look_ups) >= RUN_S // 2
    assert max(look_ups) <= RUN_S + 3  # and one before the run
    summary = swarm.summary()
    assert summary["errors"] == {"resolve": summary["requests"]}
    (failure,) = summary["failed"]
    assert failure["error"] == "resolve: model.models.svc: Name or service not known"
    assert "TARGET UNREACHABLE" in result.stderr
    assert "resolve: model.models.svc: Name or service not known" in result.stderr
