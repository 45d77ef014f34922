"""Before a process ends: its threads. An edge: gevent's pool."""

from __future__ import annotations

import gevent

THREADS_TIMEOUT_S = 5.0


def let_threads_end(timeout_s: float = THREADS_TIMEOUT_S) -> None:
    """Waits for what reads or writes files in the pool. Arrow's code in a thread aborts an interpreter that ends."""
    with gevent.Timeout(timeout_s, False):
        gevent.get_hub().threadpool.join()
