"""Entry point of the swarm image: `master`, `worker` or `headless` (or SWARM_ROLE), then Locust's options.

Anything else is passed to Locust as it is. This process becomes Locust, so that SIGTERM reaches it. An edge, as wiring.
The image starts it with the signals that end it blocked (`env --block-signal`): process 1 has no default for them, so
one that comes before there is a handler would be lost. They wait until main() lets them in.
Environment, beside that of docs/settings.md:
  SWARM_ROLE          master, worker or headless when no argument says so
  SWARM_WORKERS       headless: worker containers to wait for
  WORKER_PROCESSES    worker processes of a worker container
  SWARM_DISCOVERY_FILE  a headless master writes its addresses here, and workers look here for a master too
  SWARM_METRICS_PORT  headless: where Prometheus reads a run (an option of ours, docs/settings.md)
  SWARM_UMASK         mode bits that files of results do not get, in octal
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

LOCUSTFILE = str(Path(__file__).resolve().parent.parent / "locust" / "locustfile.py")
STATE_FOLDER = Path(os.environ.get("SWARM_STATE_FOLDER") or "/tmp/inference-swarm")  # as in health.py
ROLES = ("master", "worker", "headless")
BAD_CONFIGURATION = 2
INCOMPLETE = 4
FILES_BESIDE_USERS = 100
STATE_PERIOD_S = 1.0
LOOK_PERIOD_S = 0.5
CONNECT_WITHIN_S = 2.0
SAY_AGAIN_AFTER_S = 30.0
MAX_PORT = 65535
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: list[str]) -> None:
    """Never returns: ends with Locust's exit code."""
    role = os.environ.get("SWARM_ROLE") or "master"
    if arguments and not arguments[0].startswith("-"):
        role, *arguments = arguments
    signal.signal(signal.SIGINT, send_sigterm)
    signal.signal(signal.SIGTERM, leave_without_result if role == "headless" else leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    set_umask()
    clear_state()
    if role not in ROLES:
        fail(f"the role is {role!r} (first argument or SWARM_ROLE)", f"one of {', '.join(ROLES)}")
    if role == "worker":
        raise_file_limit()
        os.environ["LOCUST_MASTER_NODE_HOST"] = wait_for_master()
        fork_processes(count("WORKER_PROCESSES", 1))
    elif role == "headless":
        refuse_second_master()
        workers = count("SWARM_WORKERS", 1) * count("WORKER_PROCESSES", 1)
        os.environ.setdefault("LOCUST_EXPECT_WORKERS", str(workers))
        os.environ.setdefault("LOCUST_EXPECT_WORKERS_MAX_WAIT", "120")
        write_discovery_file()
    else:  # who may reach the web UI is for the published port or the NetworkPolicy to say
        os.environ.setdefault("LOCUST_WEB_HOST", "0.0.0.0")
    modes = {"master": ["--master"], "worker": ["--worker"], "headless": ["--master", "--headless"]}
    become_locust(role, modes[role] + arguments)


def set_umask() -> None:
    """Mode bits from the environment, if any."""
    text = os.environ.get("SWARM_UMASK") or ""
    if text and not (len(text) <= 4 and set(text) <= set("01234567") and int(text, 8) <= 0o777):
        fail(f"SWARM_UMASK is {text!r} (environment)", "three octal digits, such as 022")
    if text:
        os.umask(int(text, 8))


def clear_state() -> None:
    """Takes away what this container's processes wrote before it was started again, and nothing else."""
    try:
        STATE_FOLDER.mkdir(parents=True, exist_ok=True)
        for path in (*STATE_FOLDER.glob("process-*"), STATE_FOLDER / "waiting"):
            path.unlink(missing_ok=True)
    except OSError as error:
        fail(f"{STATE_FOLDER} cannot be written ({error.strerror})", "a folder for the health check", "mount one there")


def become_locust(role: str, arguments: list[str]) -> None:
    """Runs Locust in this process, which says once a second how it is: its health check reads that."""
    import locust  # first: it makes the standard library cooperative  # isort: skip
    from locust.main import main as locust_main

    def on_init(environment: Any, runner: Any, web_ui: Any = None, **_: Any) -> None:
        import gevent

        web_port = environment.parsed_options.web_port if web_ui is not None else None
        gevent.spawn(write_state_loop, role, runner, web_port)
        if role == "worker":
            gevent.spawn(follow_master_loop, runner)

    locust.events.init.add_listener(on_init)  # type: ignore[no-untyped-call]
    sys.argv = ["locust", "-f", LOCUSTFILE, *arguments]
    locust_main()  # type: ignore[no-untyped-call]


def write_state_loop(role: str, runner: Any, web_port: int | None) -> None:
    """Runs on the event loop, so that the age of what it wrote tells whether the loop turns."""
    import gevent

    path = STATE_FOLDER / f"process-{os.getpid()}.json"
    (STATE_FOLDER / "waiting").unlink(missing_ok=True)
    while True:
        worker = getattr(runner, "adapter", None) if role == "worker" else None
        state = {
            "role": role,
            "pid": os.getpid(),
            "at_s": time.monotonic(),
            "is_joined": worker is not None and worker.state.is_joined,
            "web_port": web_port,
            "is_loading": worker is not None and worker.is_loading,
        }
        beside = path.with_suffix(".part")
        with contextlib.suppress(OSError):  # a full disk: when it lasts the health check finds this process silent
            beside.write_text(json.dumps(state))
            beside.replace(path)
        gevent.sleep(STATE_PERIOD_S)


def fork_processes(processes: int) -> None:
    """Returns in each child; the parent hands signals on and ends when a child has.

    Locust's own --processes leaves its parent without a handler for SIGTERM, so that the children would be killed.
    """
    if processes == 1:
        return
    children: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # has ended
                os.kill(child, number)

    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # until all can be told
    for _ in range(processes):
        try:
            child = os.fork()
        except OSError as error:
            hand_on(signal.SIGKILL, None)
            fail(f"WORKER_PROCESSES is {processes}, and after {len(children)} none can be started ({error.strerror})",
                 "as many as the container has cores and may have processes")  # fmt: skip
        if not child:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
            return
        children.append(child)
    for number in ENDING_SIGNALS:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    worst = 0
    while children:
        pid, status = os.wait()
        if pid not in children:
            continue  # process 1 gets the orphans of others too, such as those of `kubectl exec`
        children.remove(pid)
        code = os.waitstatus_to_exitcode(status)
        if code and not worst:
            hand_on(signal.SIGTERM, None)  # the container is started again as a whole
        worst = worst or (code if code >= 0 else 128 - code)
    sys.exit(worst)


def wait_for_master() -> str:
    """The host at which a master listens; waits for one as long as it takes."""
    port = count("LOCUST_MASTER_NODE_PORT", 5557, MAX_PORT)
    said, said_at_s = "", 0.0
    (STATE_FOLDER / "waiting").touch()
    while True:
        reasons = {}
        for host in masters_to_try():
            reasons[host] = why_unreachable(host, port)
            if not reasons[host]:
                return host
        why = "; ".join(f"{host}: {reason}" for host, reason in reasons.items())
        if why != said or time.monotonic() - said_at_s > SAY_AGAIN_AFTER_S:
            said, said_at_s = why, time.monotonic()
            say(f"Waiting for a master at port {port} of {why}")
        time.sleep(LOOK_PERIOD_S)


def follow_master_loop(runner: Any) -> None:
    """When a worker's master is gone, the next may be at another of the hosts. ZMQ looks names up again by itself."""
    import gevent

    while True:
        gevent.sleep(LOOK_PERIOD_S)
        adapter = getattr(runner, "adapter", None)
        if adapter is None or adapter.state.is_joined or not why_unreachable(runner.master_host, runner.master_port):
            continue
        for host in masters_to_try():
            if host != runner.master_host and not why_unreachable(host, runner.master_port):
                runner.look_at(host)
                break


def masters_to_try() -> Iterator[str]:
    """The named master, then what a headless one has written down."""
    yield os.environ.get("LOCUST_MASTER_NODE_HOST") or "master"
    discovery_file = os.environ.get("SWARM_DISCOVERY_FILE")
    if discovery_file:
        with contextlib.suppress(OSError):  # not there yet, or may not be read: then the named master counts
            yield from Path(discovery_file).read_text(errors="replace").split()


def refuse_second_master() -> None:
    """A master with a web UI in the same compose project has all the workers."""
    host = os.environ.get("LOCUST_MASTER_NODE_HOST")
    if host and not why_unreachable(host, count("LOCUST_MASTER_NODE_PORT", 5557, MAX_PORT)):
        fail(
            f"a master with a web UI runs at {host} and has the workers",
            "no other master for a headless test",
            "stop it and its workers first: docker compose stop master worker",
        )


def write_discovery_file() -> None:
    """`docker compose run` gives a container no name that workers could know: they read its addresses here."""
    discovery_file = os.environ.get("SWARM_DISCOVERY_FILE")
    if discovery_file:
        try:
            addresses = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
            Path(discovery_file).write_text("\n".join(sorted(addresses)) + "\n")
        except OSError as error:
            fail(f"this master's addresses cannot be written to {discovery_file} ({error.strerror or error})",
                 "a file in a folder that master and workers share", "correct SWARM_DISCOVERY_FILE")  # fmt: skip


def why_unreachable(host: str, port: int) -> str:
    """Why nothing accepts a connection there: the name does not resolve, or the port refuses. Empty when it does."""
    try:
        socket.create_connection((host, port), CONNECT_WITHIN_S).close()
    except (socket.gaierror, UnicodeError) as error:
        return f"the name does not resolve ({getattr(error, 'strerror', None) or error})"
    except ConnectionRefusedError:
        return "the port refuses connections"
    except OSError as error:
        return f"the port does not answer ({error.strerror or error})"
    return ""


def raise_file_limit() -> None:
    """Takes all open files that this container may have: each user needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    processes = count("WORKER_PROCESSES", 1)
    users = max(0, hard - FILES_BESIDE_USERS)
    say(f"{hard:,} open files: enough for {users:,} users in each of {processes} process(es)")


def count(name: str, default: int, most: int = 1_000_000) -> int:
    """A whole number above zero from the environment."""
    text = os.environ.get(name) or str(default)
    if not (text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        fail(f"{name} is {text!r} (environment)", f"a whole number from 1 to {most:,}")
    return int(text)


def fail(found: str, expected: str, action: str = "correct it in .env or in the environment") -> NoReturn:
    """Ends with the code for bad configuration."""
    say(f"{found}\n  Expected: {expected}\n  Fix: {action}")
    sys.exit(BAD_CONFIGURATION)


def say(text: str) -> None:
    """A line of the container's log."""
    sys.stderr.write(f"{text}\n")


def leave(_number: int, _frame: FrameType | None) -> None:
    """Handler of SIGTERM until Locust installs its own: nothing has begun, so nothing has to be drained."""
    os._exit(0)


def leave_without_result(_number: int, _frame: FrameType | None) -> None:
    """The same for a headless run, of which 0 would say that it passed."""
    os._exit(INCOMPLETE)


def send_sigterm(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C and `docker kill -s INT` mean what `docker stop` means, whoever handles SIGTERM by then."""
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])
