"""Imports Locust and our package once, then forks a process for every `locust` command that it is asked for, and for
pytest in a process that Locust has patched.

    python prefork_program.py SOCKET FOLDER…      the descriptor of a socket; what to put before sys.path
A request is a datagram: JSON with `program` (locust or pytest), `arguments`, `folder`, `environment` and `scheduling`
(policy, priority), and three descriptors. The answer is the number of the process. It is no child of this one but of
the nearest ancestor that adopts orphans, which asked.
"""

import locust.main  # first: it makes the standard library cooperative  # isort: skip

import _socket
import array
import atexit
import gc
import importlib
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent.monkey
import gevent.os

LARGEST = 1 << 20
# What a run imports, and a start does not.
LATER = (
    "pygal", "gevent.threadpool", "gevent.resolver.thread", "email.headerregistry",
    "email.contentmanager", "email._header_value_parser", "encodings.ascii", "encodings.utf_8_sig", "email.policy",
    "importlib_metadata._adapters", "numpy.ma", "numpy.random",
)  # fmt: skip


def main() -> str:
    """Returns, in a process that was asked for, the program that it is to be; ends when nobody can ask any more."""
    channel = _socket.socket(fileno=int(sys.argv[1]))  # the plain one, as its own loop must not run before a fork
    sys.path[:0] = sys.argv[2:]
    for name in LATER:
        importlib.import_module(name)
    import inference_swarm.wiring  # noqa: F401 - what every locustfile of ours imports

    prepare()
    # A process that looked for garbage among what was imported would have a copy made of all of that.
    gc.collect()
    gc.freeze()
    plain_fork = gevent.monkey.get_original("os", "fork")
    while True:
        message, ancillary, _, _ = channel.recvmsg(LARGEST, _socket.CMSG_SPACE(3 * 4))
        if not message:
            os._exit(0)
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        read_end, write_end = os.pipe()
        between = plain_fork()
        if between == 0:
            if child := gevent.os.fork_gevent():
                os.write(write_end, str(child).encode())
                os._exit(0)
            channel.close()
            os.close(read_end)
            os.close(write_end)
            request = json.loads(message)
            become(request, list(descriptors))
            return str(request["program"])
        os.waitpid(between, 0)
        channel.send(os.read(read_end, 20))
        for descriptor in (read_end, write_end, *descriptors):
            os.close(descriptor)


def prepare() -> None:
    """What each run would make once more: the parsers of messages, the compiled pages of our report and Locust's."""
    import locust.html

    from inference_swarm.cluster.protocol import MESSAGES
    from inference_swarm.errors import ProtocolError
    from inference_swarm.export.report import page_environment

    for kind in MESSAGES.values():
        with suppress(ProtocolError):
            kind.from_wire(None)
    page_environment().get_template("report.html.j2")
    locusts = locust.html.JinjaEnvironment(loader=locust.html.FileSystemLoader(locust.html.DEFAULT_BUILD_PATH))
    locusts.get_template("report.html")  # more than a megabyte
    locust.html.JinjaEnvironment = lambda loader: locusts  # type: ignore[assignment,misc]


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """All that a new process is given by the one that starts it."""
    os.setsid()
    policy, priority = request["scheduling"]
    if policy != os.sched_getscheduler(0):
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = [str(Path(locust.__file__).with_name("__main__.py")), *request["arguments"]]
    sys.path.insert(0, request["folder"])


def leave(code: Any) -> None:
    """As an interpreter ends, but that nothing is destroyed: of all that was imported that took half a short run's CPU.

    What a process that begins by itself does there is seen where a test starts one.
    """
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] - no other way to wait for threads as at the end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


program = main()
try:
    if program == "pytest":
        import pytest

        sys.exit(pytest.main(sys.argv[1:]))
    locust.main.main()
except SystemExit as end:
    leave(end.code)
