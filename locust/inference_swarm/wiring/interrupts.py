"""What signals do to a process of the swarm. An edge: signal handlers."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import gevent

from inference_swarm.errors import ExitCode
from inference_swarm.program import PROGRAM

FOR_EVER_S = 1e6


def end_when_interrupted(end_at_once: Callable[[], None]) -> None:
    """The first SIGINT means SIGTERM, the second calls `end_at_once`, the third ends the process as it is.

    Python's own would be an exception in whichever greenlet runs: in a user's request, as a rule. One that comes when
    all is done changes nothing: while the interpreter ends, Python would let it take the place of the exit code.
    """

    def end(*_: object) -> None:
        signal.signal(signal.SIGINT, hurry)
        os.kill(os.getpid(), signal.SIGTERM)

    def hurry(*_: object) -> None:
        signal.signal(signal.SIGINT, give_up)
        gevent.spawn(end_at_once)

    def give_up(*_: object) -> None:
        os.write(2, f"Ended at once. If results are missing, {PROGRAM} report makes them of what was saved.\n".encode())
        os._exit(ExitCode.INCOMPLETE)

    if os.name == "posix" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def end_when_the_terminal_closes() -> None:
    """Treat SIGHUP as SIGTERM: results are written. Under `nohup` it stays ignored."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def end_once(events: Any) -> None:
    """Let a process say its exit code once: Locust's handler of SIGTERM says it again, and a traceback with it."""
    has_ended = False

    def on_quit(**_: object) -> None:
        nonlocal has_ended
        if has_ended and gevent.getcurrent() is not gevent.get_hub().parent:
            gevent.sleep(FOR_EVER_S)  # the handler, while the interpreter ends
        has_ended = True
        if os.name == "posix":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    events.quit.add_listener(on_quit)


def end_while_waiting(environment: Any) -> None:
    """End the run, and the joined workers, on signals while Locust does not handle them.

    It does not before all workers have joined, nor while it waits for the end of a LoadTestShape: then it goes on as at
    the end of any run.
    """

    def end() -> None:
        goes_on = environment.runner.shape_greenlet is not None
        environment.runner.quit()
        if not goes_on:
            sys.exit(environment.process_exit_code or ExitCode.INCOMPLETE)

    def on_signal(*_: object) -> None:
        gevent.spawn(end)

    former = signal.getsignal(signal.SIGINT)

    def let_locust_handle(**_: object) -> None:
        if signal.getsignal(signal.SIGINT) is on_signal:
            signal.signal(signal.SIGINT, former)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, on_signal)
    environment.events.test_start.add_listener(let_locust_handle)
