"""What a process waits for before it ends. Run by test_patched.py."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original
from gevent.pool import Group
from locust.env import Environment
from locust.exception import StopTest

from inference_swarm.cluster import ending, local_runner, locust_test, master_runner, worker_runner
from inference_swarm.cluster.aside import Aside
from inference_swarm.cluster.ending import abandon_workers, let_threads_end, let_workers_end
from inference_swarm.cluster.locust_test import LocustTest

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


class Greenlets:
    """A runner's group, of which is only noted that it is killed."""

    def __init__(self, done: list[str]) -> None:
        self.done = done

    def __len__(self) -> int:
        return 0

    def kill(self, *, block: bool) -> None:
        assert block
        self.done.append("killed")


def master_of(workers: list[Any], *, ends_workers: bool) -> Any:
    """What is read of a master's adapter."""
    state = SimpleNamespace(ends_workers=ends_workers, here=lambda: iter(workers))
    return SimpleNamespace(state=state, changed=Event())


def test_workers_that_end_with_their_master_are_waited_for() -> None:
    workers = ["one", "two"]
    adapter = master_of(workers, ends_workers=True)

    def say_goodbye() -> None:
        workers.pop()
        adapter.changed.set()

    for delay_s in (0.02, 0.05):
        gevent.spawn_later(delay_s, say_goodbye)
    let_workers_end(adapter, timeout_s=20)
    assert workers == []


@pytest.mark.parametrize("ends_workers", [True, False])
def test_nobody_waits_for_workers_that_stay(*, ends_workers: bool) -> None:
    began_s = time.monotonic()
    let_workers_end(master_of(["one"], ends_workers=ends_workers), timeout_s=0.05 if ends_workers else 60)
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize("ends_workers", [True, False])
def test_a_master_that_ends_at_once_sees_that_those_who_end_with_it_have_heard_so(
    monkeypatch: pytest.MonkeyPatch, *, ends_workers: bool
) -> None:
    done, worker = list[str](), SimpleNamespace(is_leaving=False)
    monkeypatch.setattr(ending, "kill_forked", lambda: done.append("forked"))
    monkeypatch.setattr(ending, "HEARD_TIMEOUT_S", 20.0)
    adapter = master_of([worker], ends_workers=ends_workers)

    def tell() -> None:
        done.append("others")
        gevent.spawn_later(0.02, setattr, worker, "is_leaving", True)

    adapter.end_workers = tell
    abandon_workers(adapter)
    assert done == ["forked", "others"][: 1 + ends_workers]
    assert worker.is_leaving is ends_workers


def test_one_that_hears_nothing_does_not_keep_a_master_from_ending_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "kill_forked", lambda: None)
    monkeypatch.setattr(ending, "HEARD_TIMEOUT_S", 0.05)
    adapter, told = master_of([SimpleNamespace(is_leaving=False)], ends_workers=True), list[str]()
    adapter.end_workers = lambda: told.append("end")
    abandon_workers(adapter)
    assert told == ["end"]


def test_whoever_asks_a_master_to_end_while_it_waits_for_its_workers_waits_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Locust itself and the coordinator do, one after the other: each wait of its own would be a second more."""
    done, hold = list[str](), Event()
    monkeypatch.setattr(master_runner, "let_workers_end", lambda adapter: (done.append("workers"), hold.wait()))
    monkeypatch.setattr(master_runner, "let_forked_end", lambda forked, adapter: done.append(f"{len(forked)} forked"))
    monkeypatch.setattr(master_runner, "let_threads_end", lambda: done.append("threads"))
    runner: Any = master_runner.SwarmMasterRunner.__new__(master_runner.SwarmMasterRunner)
    runner._end = None
    runner.adapter = SimpleNamespace(close=lambda: done.append("close"), wait_for_listeners=lambda: None)
    runner.user_greenlets = Group()
    runner.test = SimpleNamespace(aside=Aside())
    runner._forked = [object(), object()]
    runner.channel = SimpleNamespace(dropped=SimpleNamespace(log_counts=lambda: None))
    runner.greenlet = Greenlets(done)
    asked = [gevent.spawn(runner.end_process) for _ in range(2)]
    gevent.sleep(0.01)
    assert (done, [one.dead for one in asked]) == (["workers"], [False, False])
    hold.set()
    gevent.joinall(asked, timeout=10, raise_error=True)
    runner.quit()
    assert done == ["workers", "2 forked", "close", "threads", "killed"]


def test_a_single_process_does_not_end_while_its_threads_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hold, done = Event(), list[str]()
    monkeypatch.setattr(local_runner, "let_threads_end", hold.wait)
    runner: Any = local_runner.SwarmLocalRunner.__new__(local_runner.SwarmLocalRunner)
    runner._end = None
    runner.adapter = runner.worker = SimpleNamespace(close=lambda: None, wait_for_listeners=lambda: None)
    runner.greenlet = Greenlets(done)
    asked = [gevent.spawn(runner.end_process) for _ in range(2)]
    gevent.sleep(0.01)
    assert [one.dead for one in asked] == [False, False]
    hold.set()
    gevent.joinall(asked, timeout=10, raise_error=True)
    assert done == ["killed"]


@pytest.mark.parametrize("kind", [local_runner.SwarmLocalRunner, worker_runner.SwarmWorkerRunner])
def test_a_user_may_ask_its_runner_to_quit_and_nothing_is_cut_off(kind: Any) -> None:
    """A task of one's own that calls `self.environment.runner.quit()`: the documents of Locust have it."""
    runner, done, is_over = kind.__new__(kind), list[str](), Event()

    def wait_until_over(*_: object) -> None:
        done.append("asked")
        is_over.wait()

    runner._end = None
    runner.control, runner._leave = SimpleNamespace(quit=wait_until_over), wait_until_over
    runner.adapter = runner.worker = SimpleNamespace(close=lambda: None, wait_for_listeners=lambda: None)
    runner.greenlet = Greenlets(done)
    runner.user_greenlets = Group()
    user = runner.user_greenlets.spawn(runner.quit)
    user.join(timeout=10)
    gevent.sleep(0.01)
    assert (user.dead, done) == (True, ["asked"])
    is_over.set()
    gevent.sleep(0.01)
    assert done == ["asked", "killed"]


def test_listeners_of_ones_own_are_told_in_order_beside_everything_else_and_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    environment = Environment(user_classes=[])
    stats_of_locust: list[str] = []

    def own(client_id: str, data: object) -> None:
        stats_of_locust.append(client_id)

    own.__module__ = "locust.stats"

    def slow(client_id: str, **_: object) -> None:
        gevent.sleep(0.02)
        told.append(client_id)
        if client_id == "b":
            raise StopTest("enough")

    environment.events.worker_report._handlers = [own, slow]
    environment.events.test_stop.add_listener(lambda **_: told.append("end"))
    runner = SimpleNamespace(
        stats=environment.stats, shape_greenlet=None, shape_last_tick=None, update_state=lambda _: None
    )
    test = LocustTest(environment, runner, lambda: None)
    test.test_start()
    began_s = time.monotonic()
    monkeypatch.setattr(locust_test, "check_locust_report", lambda report: None)
    for worker in "abc":
        test.report(worker, {}, is_left_out=False)
    assert time.monotonic() - began_s < 0.02
    assert (stats_of_locust, told) == (["a", "b", "c"], [])
    test.closed()
    assert told == ["a", "b", "c", "end"]


def test_an_end_is_told_though_others_have_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locust_test, "ASIDE_S", 0.05)
    told: list[str] = []
    environment = Environment()
    environment.events.test_stop.add_listener(lambda **_: told.append("end"))
    runner = SimpleNamespace(
        stats=environment.stats, shape_greenlet=None, shape_last_tick=None, update_state=lambda _: None
    )
    test = LocustTest(environment, runner, lambda: None)
    for _ in range(2):
        test.test_start()
        test.aside.do(lambda: gevent.sleep(30))
        test.closed()
    test.aside.do(lambda: told.append("next"))
    assert test.aside.finish()
    assert told == ["end", "end", "next"]
