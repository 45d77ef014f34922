"""Child processes of one command: started in their own sessions, logged to files, all stopped at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType

STOP_GRACE_S = 30.0
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""For our own servers on this machine: a proxy of the environment cannot reach them."""


class CommandError(Exception):
    """A sentence for the person at the terminal; the command ends with `exit_code`."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Processes:
    """Context manager over child processes. Own sessions, so that Ctrl-C reaches us alone and we stop them in order.

    SIGTERM and SIGHUP (the terminal was closed) end the command like Ctrl-C does; under `nohup` SIGHUP stays ignored.
    """

    def __init__(self) -> None:
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Processes:
        signal.signal(signal.SIGTERM, _raise_interrupt)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, _raise_interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # A second Ctrl-C, or the SIGHUP that follows it, must not leave children behind.
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self.stop_all()

    def start(
        self, name: str, argv: Sequence[str], *, log_file: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a child; without `log_file` it writes to our own output."""
        full_env = {**os.environ, **(env or {})}
        if log_file is None:
            child = subprocess.Popen(argv, env=full_env, stdin=subprocess.DEVNULL, start_new_session=True)
        else:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            with log_file.open("wb") as log:
                child = subprocess.Popen(
                    argv, env=full_env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        self._running.append((name, child))
        return child

    def stop_all(self) -> None:
        """SIGTERM, newest first; SIGKILL to what has not ended after the grace period."""
        while self._running:
            name, child = self._running.pop()
            if child.poll() is not None:
                continue
            child.terminate()
            try:
                child.wait(STOP_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                say_last(f"{name} did not stop in {STOP_GRACE_S:g} s and was killed")


def _raise_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def say_last(text: str) -> None:
    """A line on stderr that must not stand in the way of an end: the terminal may be gone."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def require_free_port(port: int, option: str, purpose: str, host: str = "127.0.0.1") -> None:
    """Raises CommandError that names the option which moves the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} on {host}, wanted for {purpose}, cannot be used: {error.strerror}.\n"
                f"  Fix: choose another with {option} PORT, or stop what uses it."
            ) from None


def wait_until_healthy(url: str, child: subprocess.Popen[bytes], log_file: Path, timeout_s: float) -> None:
    """Waits for a 200 from `url`; raises CommandError with the end of the log when the child ends or time runs out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            with _DIRECT.open(url, timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
    state = (
        f"ended with code {child.returncode}" if child.poll() is not None else f"did not respond within {timeout_s:g} s"
    )
    raise CommandError(f"The inference server {state}. The end of {log_file}:\n{tail}", exit_code=5)
