"""kubectl as a function: one cluster and namespace, output as text or JSON, errors in kubectl's own words. An edge."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from inference_swarm.cli.processes import CommandError


class KubectlError(CommandError):
    """kubectl failed; the message is its own."""


_LOG_LINE = re.compile(r"[EWIF]\d{4} \d\d:\d\d:")
_NO_CLUSTER = re.compile(
    r"The connection to the server|Unable to connect to the server|no configuration has been provided|"
    r"context .* does not exist|couldn't get current server API group list|dial tcp|must be logged in"
)
_NO_RIGHTS = re.compile(r"\(Forbidden\): (.*cannot \w+ resource.*)")


def problem_words(arguments: Sequence[str], said: str) -> str:
    """kubectl's own words without its log lines; one line when there is no cluster or no right to ask it."""
    lines = list(dict.fromkeys(line.strip() for line in said.splitlines() if not _LOG_LINE.match(line)))
    lines = [line for line in lines if line] or said.splitlines()[-1:]
    for line in lines:
        if _NO_CLUSTER.search(line):
            return f"No cluster answers: {line.rstrip('.')}. Fix: choose one with --context."
        if rights := _NO_RIGHTS.search(line):
            return f"The cluster refuses: {rights[1].rstrip('.')}. Fix: ask for the right, or choose a --namespace."
    return f"kubectl {' '.join(arguments)}: " + "\n  ".join(lines)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Commands run in sessions of their own, so that Ctrl-C reaches us alone."""

    context: str
    namespace: str

    def argv(self, *arguments: str) -> list[str]:
        """The whole command."""
        return ["kubectl", *(["--context", self.context] if self.context else []), "-n", self.namespace, *arguments]

    def run(self, *arguments: str, text: str | None = None, timeout_s: float = 120) -> str:
        """Its output. Raises KubectlError."""
        try:
            done = subprocess.run(
                self.argv(*arguments), input=text, capture_output=True, text=True, timeout=timeout_s, check=False,
                stdin=subprocess.DEVNULL if text is None else None, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise KubectlError("No kubectl was found on the PATH.\n  Fix: install it.") from None
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {arguments[0]} did not respond within {timeout_s:g} s.", exit_code=4) from None
        if done.returncode:
            raise KubectlError(problem_words(arguments, done.stderr.strip() or done.stdout.strip()))
        return done.stdout

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object. Raises KubectlError when the cluster cannot be asked."""
        return bool(self.run("get", kind, name, "--ignore-not-found", "-o", "name").strip())

    def get(self, *arguments: str) -> dict[str, Any]:
        """JSON. Raises KubectlError."""
        document: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json"))
        return document

    def start(self, *arguments: str, stdout: IO[bytes] | int | None = None) -> subprocess.Popen[bytes]:
        """A command in the background."""
        return subprocess.Popen(self.argv(*arguments), stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True)
