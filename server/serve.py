"""`python -m server.serve`: loads models and listens. Settings: default < environment < command line."""

from __future__ import annotations

import argparse
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from server.app import DEFAULT_MAX_BODY_MB, create_app
from server.catalog import ALL, load_catalog
from server.errors import PROGRAM, SetupError

_BAD_SETUP = 2
_SHUTDOWN_S = 10
_HUNG_S = 30  # a worker that says nothing for so long is ended, and another begins: uvicorn's 5 s pass under full load
_BACKLOG = 2048
# libuv accepts one connection of a socket in each turn of the event loop, which takes 0.1 s while 400 clients wait for
# their predictions: others, and the probes of Kubernetes among them, would never be let in.
_ACCEPTED_AT_ONCE = 32
_ENVIRONMENT = ("SERVER_MODELS", "DATASET_NAME", "LOAD_MODEL", "SERVER_MAX_BODY_MB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C; the return value is the exit code."""
    options = _parser().parse_args(arguments)
    _configure_logging()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))  # as the image starts it
    try:
        os.environ.update(
            zip(
                _ENVIRONMENT,
                (str(options.models), options.dataset, options.model, str(options.max_body_mb)),
                strict=True,
            )
        )
        listener = _listen(options.host, options.port)
        if options.workers > 1:
            load_catalog(options.models, options.dataset, options.model)  # the workers would fail in a loop
            _run_workers(listener, options.workers)
        else:
            app = create_app_from_environment()
            _say_where(listener)
            uvicorn.Server(_config(app)).run(sockets=_in_turn(listener))
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return _BAD_SETUP
    return 0


def create_app_from_environment() -> FastAPI:
    """Make the application of a worker process; main() has put its options into the environment."""
    _configure_logging()
    _end_with_parent()
    models, dataset, model, max_body_mb = (os.environ[name] for name in _ENVIRONMENT)
    catalog = load_catalog(Path(models), dataset, model)
    pairs = sorted(f"{dataset}/{key}" for dataset, key in catalog.models)
    logging.getLogger("server").info("loaded %s", ", ".join(pairs))
    return create_app(catalog, int(float(max_body_mb) * 1024 * 1024))


def _parser() -> argparse.ArgumentParser:
    environment = os.environ
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} serve",
        description="Serve trained models at POST /invocation?dataset=&model=&method=.",
        epilog="Environment: DATASET_NAME and LOAD_MODEL replace the defaults of --dataset and --model. "
        "Try it: curl HOST/health, or open HOST/docs in a browser.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (%(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on; 0 takes a free one (%(default)s)")
    parser.add_argument(
        "--dataset",
        metavar="D",
        default=environment.get("DATASET_NAME") or ALL,
        help=f"dataset whose models are loaded, several with commas, or {ALL} (%(default)s)",
    )
    parser.add_argument(
        "--model",
        metavar="M",
        default=environment.get("LOAD_MODEL") or ALL,
        help=f"catboost, lgbm, xgboost, several with commas, or {ALL} (%(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="processes that share the port; each has its own counters in /stats (%(default)s)",
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=Path(environment.get("SWARM_RESULTS") or "experiment-results") / "models",
        metavar="DIR",
        help="folder with the model files (%(default)s)",
    )
    parser.add_argument(
        "--max-body-mb",
        type=_positive_number,
        default=DEFAULT_MAX_BODY_MB,
        metavar="MB",
        help="largest request body (%(default)s)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; expected 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number


def _listen(host: str, port: int) -> socket.socket:
    """Bind before the models are loaded: a taken port is reported at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise SetupError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            expected="a free port (--port)." if taken else "an address of this machine (--host) and a port (--port).",
            action="choose another with --port, or end the program that has it."
            if taken
            else "use --host 127.0.0.1 or --host 0.0.0.0, and a --port above 1023.",
        ) from error
    listener.set_inheritable(True)
    return listener


def _config(app: FastAPI | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_S,
        timeout_worker_healthcheck=_HUNG_S,
        backlog=_BACKLOG,
    )


def _run_workers(listener: socket.socket, workers: int) -> None:
    from uvicorn.supervisors import Multiprocess

    config = _config("server.serve:create_app_from_environment")
    config.workers = workers
    _say_where(listener)
    supervisor = Multiprocess(config, sockets=_in_turn(listener))
    if hasattr(signal, "SIGHUP"):  # the terminal was closed; uvicorn would begin again with new workers
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    supervisor.run()


def _end_with_parent() -> None:
    """End a worker whose parent was killed: it would serve for ever, and hold the port."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _in_turn(listener: socket.socket) -> list[socket.socket]:
    """Return the same socket many times, so that as many connections are accepted in a turn of the event loop."""
    return [listener, *(listener.dup() for _ in range(_ACCEPTED_AT_ONCE - 1))]


def _say_where(listener: socket.socket) -> None:
    """Print the address when it is true: from here on a connection waits to be accepted and is not refused."""
    listener.listen(_BACKLOG)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logging.getLogger("server").info("serving at http://%s:%d (documentation at /docs)", shown, port)


def _configure_logging() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("server").setLevel(logging.INFO)


def _leave(number: int, _frame: FrameType | None) -> None:
    """uvicorn finishes the open requests, then raises the signal again: leaving with 0 says that all went well."""
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
