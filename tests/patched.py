"""Runs a file of cases under pytest in a process that Locust has patched from the start, as every real one is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from suite import prefork

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 120


def run_cases(path: Path) -> None:
    """Fails with the output of the inner pytest unless all cases passed."""
    with tempfile.TemporaryFile() as output:
        command = [*prefork.PYTEST, "-x", "-p", "no:cacheprovider", str(path)]
        process = prefork.start(command, ROOT, os.environ, output, output)
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        output.seek(0)
        assert code == 0, output.read().decode(errors="replace")[-8000:]
