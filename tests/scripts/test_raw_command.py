"""Locust's own command with our locustfile, as the README gives it: from the environment that the scripts make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recording_server import Recording
from swarm_processes import OUR_VARIABLES, ROOT

COMMAND = "locust -f locust/locustfile.py"


@pytest.mark.processes
def test_the_raw_command_of_the_readme_works_in_a_clone(tmp_path: Path, recording: Recording) -> None:
    """Nothing but the path of the environment leads to it: no PYTHONPATH, no `locust` on the PATH."""
    assert f"`.venv/bin/{COMMAND}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "rows.csv").write_text("age\n67\n", encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith((*OUR_VARIABLES, "PYTHONPATH"))}
    words = [
        "--headless", "--host", recording.url, "-u", "1", "-r", "1", "-t", "1s", "--processes", "0",
        "--data", str(tmp_path / "rows.csv"), "--results", str(tmp_path / "results"),
    ]  # fmt: skip
    command = [f"{sys.prefix}/bin/locust", *COMMAND.split()[1:], *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert recording.bodies[0] == b'{"age":67}'
