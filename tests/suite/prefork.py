"""Starts `locust` commands, and pytest in a process that Locust has patched, without their imports, which take most of
a short run's CPU time: they are forked from a process that has imported Locust and our package already. All else is as
for a command: arguments, environment, folder, output, session, exit code.

TEST_PLAIN_STARTS=1 starts every command by itself instead; tests/suite/test_prefork.py compares the two.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from suite import leftovers

PROGRAM = Path(__file__).with_name("prefork_program.py")
PACKAGE = Path(__file__).resolve().parents[2] / "locust"
LOCUST = (sys.executable, "-m", "locust")
PYTEST = (sys.executable, "-c", "import locust, sys, pytest; sys.exit(pytest.main(sys.argv[1:]))")
PROGRAMS = {LOCUST: "locust", PYTEST: "pytest"}
PLAIN_VARIABLE = "TEST_PLAIN_STARTS"
# The interpreter and the loader read these before any import.
EARLY_VARIABLES = ("PYTHON", "LD_")
POLL_S = 0.01


class Process(Protocol):
    """What tests use of `subprocess.Popen`."""

    pid: int
    args: Any

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
) -> Process:
    """A process in a session of its own, without input; one that begins as LOCUST or PYTEST is forked if it can be."""
    if tuple(command[:3]) in PROGRAMS and can_fork(environment):
        return Forked(command, folder, environment, output, errors)
    return subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        start_new_session=True,
    )  # fmt: skip


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a forked process would be like one started by itself, and a child of this one."""

    def early(variables: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in variables.items() if name.startswith(EARLY_VARIABLES)}

    return sys.platform == "linux" and not os.environ.get(PLAIN_VARIABLE) and early(environment) == early(os.environ)


class Forked:
    """A process of the `Forker`. The kernel makes it a child of this one when the process between them has ended."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: IO[bytes],
        errors: IO[bytes],
    ) -> None:
        self.args = list(command)
        self.returncode: int | None = None
        request = {
            "program": PROGRAMS[command[0], command[1], command[2]],
            "arguments": self.args[3:], "folder": str(folder), "environment": dict(environment),
            "scheduling": [os.sched_getscheduler(0), os.sched_getparam(0).sched_priority],
        }  # fmt: skip
        with open(os.devnull, "rb") as nothing:
            self.pid = forker().fork(request, [nothing.fileno(), output.fileno(), errors.fileno()])

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = 0, 0
            with suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline_s = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > deadline_s:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            time.sleep(POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forker:
    """The process that has the imports; it ends with this one."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, str(PROGRAM), str(theirs.fileno()), str(PACKAGE)]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        leftovers.keep(self._process.pid)

    @property
    def has_ended(self) -> bool:
        """True when it forks no more."""
        return self._process.poll() is not None

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """The number of the new process."""
        socket.send_fds(self._channel, [json.dumps(request).encode()], list(descriptors))
        answer = self._channel.recv(20)
        assert answer, "the process that forks has ended; its output says why"
        return int(answer)


_forkers: list[Forker] = []


def forker() -> Forker:
    """One for each process of pytest, made when it is first needed, and again when somebody has ended it."""
    if _forkers and _forkers[0].has_ended:
        warnings.warn("the process that forks was ended from outside, and is started again", stacklevel=2)
        _forkers.clear()
    if not _forkers:
        _forkers.append(Forker())
    return _forkers[0]
