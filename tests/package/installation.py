"""An environment with nothing but our wheel and what it needs, and a user's folder outside of the checkout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUR_VARIABLES = ("LOCUST_", "SWARM_", "DATASET_NAME", "LOAD_MODEL", "PRED_METHOD", "LOGLEVEL", "WORKERS", "PYTHON")


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment, and a folder of a user who calls its commands there."""

    venv: Path
    folder: Path

    def run(self, *words: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        """One of the environment's commands, in the user's folder, without any setting of the machine."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
        command = [str(self.venv / "bin" / words[0]), *words[1:]]
        variables = {**kept, "PATH": f"{self.venv / 'bin'}:{kept['PATH']}", "HOME": str(self.folder)}
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def must(self, *words: str, timeout_s: float = 240) -> str:
        """The same; fails the test unless it ends with 0."""
        done = self.run(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, requirement: str) -> None:
        """pip, from whatever index the machine has, with the versions of our lock files."""
        self._pip("install", "--quiet", "--constraint", str(_constraints(self.folder)), requirement)

    def _pip(self, *words: str) -> None:
        command = [str(self.venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _constraints(folder: Path) -> Path:
    """The locked versions without their hashes, which pip would demand of our own wheel too."""
    lines: Sequence[str] = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    names = [line.removesuffix(" \\").strip() for line in lines if line[:1].isalnum()]
    path = folder / "constraints.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    return path
