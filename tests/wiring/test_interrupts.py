"""Signals that come when everything is done already, and the interpreter ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from swarm_processes import LOCUSTFILE, ROOT, Swarm

PROGRAM = """
import os, signal, sys
from inference_swarm.wiring.interrupts import end_when_interrupted

class Late:
    def __del__(self, kill=os.kill, process=os.getpid(), number=int(signal.SIGINT)):
        kill(process, number)

late = Late()  # destroyed when Python has given up its own signal handlers
end_when_interrupted(lambda: None)
sys.exit(4)
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupt_at_the_very_end_leaves_the_exit_code_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT / "locust")},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 4, done.stderr


TERMINATED_LATE = """
import os, signal, threading, time
from locust import events

def terminate():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)

events.quit.add_listener(lambda **_: threading.Thread(target=terminate).start())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_has_said_its_exit_code_is_not_ended_once_more(swarm: Swarm) -> None:
    """All processes of a command are told to end, and one of them tells the others: the second word comes late."""
    late = swarm.folder / "late.py"
    late.write_text(TERMINATED_LATE, encoding="utf-8")
    rows = swarm.folder / "rows.csv"
    rows.write_text("n\n1\n", encoding="utf-8")
    done = swarm.run(
        "-f", f"{LOCUSTFILE},{late}", "--headless", "--processes", "0", "--host", "http://127.0.0.1:9", "--data",
        str(rows), "--results", str(swarm.results), "--requests", "1",
    )  # fmt: skip
    assert done.returncode == 5  # nobody serves there
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Shutting down") == 1
