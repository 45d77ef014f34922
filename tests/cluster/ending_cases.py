"""What a process waits for before it ends. Run by test_patched.py."""

from __future__ import annotations

import time

import gevent
from gevent.monkey import get_original

from inference_swarm.cluster.ending import let_threads_end

make_lock = get_original("_thread", "allocate_lock")


def busy_thread() -> tuple[list[str], object]:
    """A thread of the pool that works until the lock is released, and what it has done."""
    done, lock = list[str](), make_lock()
    lock.acquire()

    def work() -> None:
        lock.acquire()
        done.append("work")

    gevent.get_hub().threadpool.spawn(work)
    return done, lock


def test_a_thread_of_the_pool_ends_before_the_process_does() -> None:
    done, lock = busy_thread()
    gevent.spawn(lock.release)  # type: ignore[attr-defined]
    let_threads_end(timeout_s=20)
    assert done == ["work"]


def test_one_that_does_not_end_is_not_waited_for_without_end() -> None:
    done, lock = busy_thread()
    began_s = time.monotonic()
    let_threads_end(timeout_s=0.05)
    assert time.monotonic() - began_s < 10
    assert done == []
    lock.release()  # type: ignore[attr-defined]
