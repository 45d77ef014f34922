"""An environment with nothing but our wheel and what it needs, and a user's folder outside of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
OUR_VARIABLES = ("LOCUST_", "SWARM_", "DATASET_NAME", "LOAD_MODEL", "PRED_METHOD", "LOGLEVEL", "WORKERS", "PYTHON")


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment, and a folder of a user who calls its commands there."""

    venv: Path
    folder: Path

    def run(self, *words: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
        """One of the environment's commands, in the user's folder, without any setting of the machine."""
        return subprocess.run(
            self._command(words), cwd=self.folder, env=self._variables(), capture_output=True, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The same in the background; what it prints is read from its `stdout`."""
        return subprocess.Popen(
            self._command(words), cwd=self.folder, env=self._variables(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def _command(self, words: Sequence[str]) -> list[str]:
        return [str(self.venv / "bin" / words[0]), *words[1:]]

    def _variables(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
        return {**kept, "PATH": f"{self.venv / 'bin'}:{kept['PATH']}", "HOME": str(self.folder)}

    def must(self, *words: str, timeout_s: float = 240) -> str:
        """The same; fails the test unless it ends with 0."""
        done = self.run(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @classmethod
    def make(cls, venv: Path, folder: Path) -> Self:
        """An environment with pip and nothing else."""
        _uv("venv", "--seed", "--python", sys.executable, str(venv))
        return cls(venv, folder)

    def install(self, requirement: str, lock: str) -> None:
        """By pip, which is offered the packages of a lock file and no index: what else it wanted would be missing.

        uv brings those packages (requirements/LOCK.txt): of the lock `swarm` in 5 s, of which pip makes 100 s.
        """
        _uv("pip", "install", "--python", str(self.venv), "--requirement", str(ROOT / "requirements" / f"{lock}.txt"))
        self.must("pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", requirement)


def _uv(*words: str) -> None:
    """Packages come from the index that pip was told of, by the same authority."""
    variables = dict(os.environ)
    for ours, pips in {"UV_DEFAULT_INDEX": "PIP_INDEX_URL", "SSL_CERT_FILE": "PIP_CERT"}.items():
        if pips in os.environ:
            variables.setdefault(ours, os.environ[pips])
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words, "--quiet"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
