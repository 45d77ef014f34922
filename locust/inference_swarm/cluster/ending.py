"""Before a process ends: its threads, and the workers that end with it. An edge: gevent, processes."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
import psutil

from inference_swarm.cluster.aside import LISTENERS_S
from inference_swarm.cluster.forked import count_alive, kill_forked
from inference_swarm.cluster.master_adapter import MasterAdapter

THREADS_TIMEOUT_S = 5.0
# Long enough for a worker that stands still for a moment, or whose listeners have something to say. One that is silent
# for longer is lost.
WORKERS_TIMEOUT_S = 5.0
HEARD_TIMEOUT_S = 1.0
# They wait for listeners of `test_stop`; then, with `--otel`, for a collector, which has 10 s for its answer.
FORKED_TIMEOUT_S = LISTENERS_S + 10.0
POLL_S = 0.01
FORKED_POLL_S = 0.05


def let_threads_end(timeout_s: float = THREADS_TIMEOUT_S) -> None:
    """Waits for what reads or writes files in the pool. Arrow's code in a thread aborts an interpreter that ends."""
    with gevent.Timeout(timeout_s, False):
        gevent.get_hub().threadpool.join()


def let_workers_end(adapter: MasterAdapter, timeout_s: float = WORKERS_TIMEOUT_S) -> None:
    """Waits until those that are to end with this process have said goodbye.

    They would wait for another master for ever: a socket that is closed at once may lose what it was to send, and ZMQ
    forgets what a worker has received and not read yet when its connection is closed (IMMEDIATE).
    """
    with gevent.Timeout(timeout_s, False):
        while adapter.state.ends_workers and any(adapter.state.here()):
            adapter.changed.clear()
            adapter.changed.wait()


def let_forked_end(
    forked: Sequence[psutil.Process], adapter: MasterAdapter, timeout_s: float = FORKED_TIMEOUT_S
) -> None:
    """Waits until those of the workers forked by this process that have joined have ended.

    They may have something to send or to save (`--otel`), and end with a container whose first process ends. Locust
    means to wait for them and does not. Those that have not joined end when this process is gone.
    """
    not_joined = max(0, len(forked) - adapter.state.next_index)
    with gevent.Timeout(timeout_s, False):
        while count_alive(forked) > not_joined:
            gevent.sleep(FORKED_POLL_S)


def abandon_workers(adapter: MasterAdapter) -> None:
    """Before a process ends at once: kill the workers that it has forked, and tell others that end with it to do so."""
    kill_forked()
    if not adapter.state.ends_workers:
        return
    adapter.end_workers()
    with gevent.Timeout(HEARD_TIMEOUT_S, False):
        while not all(member.is_leaving for member in adapter.state.here()):
            gevent.sleep(POLL_S)
