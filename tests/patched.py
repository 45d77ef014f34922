"""Runs a file of cases under pytest in a process that Locust has patched from the start, as every real one is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = "import locust, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
ROOT = Path(__file__).resolve().parent.parent


def run_cases(path: Path) -> None:
    """Fails with the output of the inner pytest unless all cases passed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "-x", "-p", "no:cacheprovider", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
