"""An interrupt that comes when everything is done already, and the interpreter ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from swarm_processes import ROOT

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
