"""Users of a process start and stop as ordered, by a runner of the test's own. Run by test_patched.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.pool import Group
from locust.runners import STATE_INIT, STATE_SPAWNING
from locust.stats import RequestStats

import locust  # noqa: F401 - first: it makes the standard library cooperative
from inference_swarm.load import user_host
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.user import InferenceUser, no_wait
from inference_swarm.load.user_host import UserHost, assign_users, release_users
from inference_swarm.measure.recording import Recording
from tests.transport.scripted_server import Peer, serve


class FakeUser:
    """Sends until it is stopped; `is_stuck`: its request in flight never ends."""

    assignment: Any = None
    host = ""
    is_stuck = False
    _state = "running"

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.greenlet: Any = None
        self.stopped: list[bool] = []
        self._end = gevent.event.Event()

    def start(self, group: Group) -> None:
        self.greenlet = group.spawn(FakeUser.run, self)
        self.environment.users.append(self)

    def run(self) -> None:
        self._end.wait()

    def stop(self, force: bool = False) -> None:
        self.stopped.append(force)
        if force:
            self.greenlet.kill(block=False)
        elif not self.is_stuck:
            self._end.set()


class A(FakeUser):
    pass


class B(FakeUser):
    pass


class Stuck(FakeUser):
    is_stuck = True


class Runner:
    """What `UserHost` asks of Locust's runner."""

    def __init__(self, *user_classes: type[FakeUser]) -> None:
        self.users: list[FakeUser] = []
        self.environment = SimpleNamespace(host="http://h", users=self.users)
        self.user_classes = list(user_classes)
        self.user_classes_by_name = {one.__name__: one for one in user_classes}
        self.user_greenlets = Group()
        self.states: list[str] = []
        self.state = STATE_INIT

    def update_state(self, state: str) -> None:
        self.states.append(state)
        self.state = state

    @property
    def spawned(self) -> list[str]:
        return [type(user).__name__ for user in self.users]

    def running(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for user in self.users:
            if not user.greenlet.dead:
                found[type(user).__name__] = found.get(type(user).__name__, 0) + 1
        return found


class Host(UserHost):
    """The first turn of those who begin is over when an order is."""

    def apply(self, users: Mapping[str, int], stop_timeout_s: float) -> None:
        super().apply(users, stop_timeout_s)
        gevent.sleep(0)


def fail(reason: str) -> None:
    raise AssertionError(reason)


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner(A, B, Stuck)
    yield made
    made.user_greenlets.kill(block=True)


def wait_for(condition: Any) -> None:
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.001)


def test_only_users_that_are_lacking_are_started(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"A": 2}, 1.0)
    host.apply({"A": 3, "B": 1}, 1.0)
    assert runner.spawned == ["A", "A", "A", "B"]
    assert runner.states == [STATE_SPAWNING]
    assert (host.count, runner.running()) == (4, {"A": 3, "B": 1})
    assert A.host == "http://h"


def test_users_of_the_only_class_are_counted_without_a_look_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(A)
    host = Host(runner, fail)
    monkeypatch.setattr(host, "_staying", lambda: pytest.fail("every user was looked at"))
    for count in (2, 5, 5):
        host.apply({"A": count}, 5.0)
    assert runner.spawned == ["A"] * 5
    monkeypatch.undo()
    gevent.sleep(0)
    host.apply({"A": 1}, 5.0)
    assert host.count == 1
    host.apply({"A": 3}, 5.0)  # while four are on their way out
    assert (host.count, len(runner.spawned)) == (3, 7)
    runner.user_greenlets.kill(block=True)


def test_users_that_are_too_many_end_their_request_and_do_not_count_from_then_on(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"A": 3, "B": 1}, 5.0)
    gevent.sleep(0)
    host.apply({"A": 1}, 5.0)
    assert host.count == 1
    wait_for(lambda: runner.running() == {"A": 1})
    assert sorted(force for user in runner.users for force in user.stopped) == [False, False, False]
    assert host.count == 1


def test_a_user_on_its_way_out_is_not_taken_for_one_that_is_wanted_again(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"Stuck": 1}, 5.0)
    gevent.sleep(0)
    host.apply({}, 5.0)
    host.apply({"Stuck": 1}, 5.0)
    assert runner.spawned == ["Stuck", "Stuck"]
    assert (host.count, host.leaving_count) == (1, 1)


def test_a_user_that_does_not_end_in_time_is_killed(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"Stuck": 2}, 0.01)
    gevent.sleep(0)
    host.apply({"Stuck": 1}, 0.01)
    wait_for(lambda: runner.running() == {"Stuck": 1})
    host.apply({}, 0.0)
    wait_for(lambda: runner.running() == {})
    assert [user.stopped for user in runner.users].count([True]) == 1


@pytest.mark.parametrize(("name", "timeout_s", "force"), [("A", 5.0, False), ("Stuck", 0.01, False), ("A", 0.0, True)])
def test_when_all_are_stopped_it_is_said_once_and_nobody_is_left(
    runner: Runner, name: str, timeout_s: float, force: bool
) -> None:
    host, said = Host(runner, fail), []
    host.apply({name: 3}, timeout_s)
    gevent.sleep(0)
    host.stop_all(timeout_s, lambda: said.append(runner.running()))
    assert host.count == 0
    wait_for(lambda: said)
    gevent.sleep(0)
    assert said == [{}]
    assert [user.stopped for user in runner.users] == [[force]] * 3


def test_with_nobody_to_stop_it_is_said_as_well(runner: Runner) -> None:
    said: list[bool] = []
    Host(runner, fail).stop_all(5.0, lambda: said.append(True))
    wait_for(lambda: said)


def test_user_seconds_are_users_times_the_time_they_ran(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(user_host, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    host = Host(runner, fail)
    clock.now_s = 110.0
    host.apply({"A": 2}, 5.0)
    clock.now_s = 113.0
    host.apply({"A": 5}, 5.0)
    clock.now_s = 114.0
    assert host.take_user_seconds() == 2 * 3 + 5 * 1
    clock.now_s = 116.0
    assert host.take_user_seconds() == 10
    host.stop_all(5.0, lambda: None)
    clock.now_s = 120.0
    assert host.take_user_seconds() == 0


def test_what_users_send_is_released_with_the_run() -> None:
    assignment = Assignment(None, lambda: None)  # type: ignore[arg-type]
    assign_users(assignment, 0.0, 0.0)
    assert (InferenceUser.assignment, InferenceUser.wait_time) == (assignment, no_wait)
    assign_users(assignment, 1.0, 1.0)
    assert InferenceUser.wait_time(None) == 1.0  # type: ignore[call-arg, arg-type]
    release_users()
    assert InferenceUser.assignment is None


def test_memory_is_given_back_once_users_have_settled_however_many_orders_there_were(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr(user_host, "SETTLED_AFTER_S", 0.05)
    monkeypatch.setattr(user_host, "give_back_memory", lambda: given_back.append(True))
    host = Host(runner, fail)
    for count in (1, 2, 3):
        host.apply({"A": count}, 0.0)
    assert given_back == []
    gevent.sleep(0.1)
    assert given_back == [True]
    host.apply({"A": 4}, 0.0)
    gevent.sleep(0.1)
    assert given_back == [True, True]


def test_a_report_holds_the_requests_of_users_that_are_stopping_as_under_way(runner: Runner) -> None:
    host = Host(runner, fail)
    with serve(Peer.close) as (client, _):
        recording = Recording(
            [client], RequestStats(), "run", "w",
            count_users=lambda: host.count, count_leaving=lambda: host.leaving_count,
        )  # fmt: skip
        host.apply({"Stuck": 5}, 30.0)
        gevent.sleep(0)
        host.apply({"Stuck": 2}, 30.0)
        snapshot = recording.take_snapshot(0.0)
        assert (snapshot.users, snapshot.in_flight) == (2, 5)
        assert recording.take_snapshot(0.0, is_final=True).in_flight == 0


def test_many_users_begin_turn_after_turn_and_others_are_served_between(runner: Runner) -> None:
    host, others = Host(runner, fail), []
    host.apply({"A": 100, "B": 30}, 5.0)
    assert (host.count, len(runner.spawned)) == (130, user_host.USERS_PER_TURN)
    gevent.spawn(lambda: [(others.append(len(runner.spawned)), gevent.sleep(0.0001)) for _ in range(1000)])
    wait_for(lambda: len(runner.spawned) == 130)
    assert host.count == 130
    assert len({count for count in others if count < 130}) >= 4
    assert runner.running() == {"A": 100, "B": 30}


def test_users_that_have_not_begun_are_the_first_that_are_too_many(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"A": 60, "B": 60}, 5.0)
    host.apply({"A": 40, "B": 10}, 5.0)
    assert host.count == 50
    wait_for(lambda: len(runner.spawned) == 50)
    assert (runner.running(), host.leaving_count) == ({"A": 40, "B": 10}, 0)
    host.apply({"A": 90}, 5.0)
    said: list[bool] = []
    host.stop_all(5.0, lambda: said.append(True))
    wait_for(lambda: said)
    assert (host.count, runner.running(), len(runner.spawned)) == (0, {}, 50 + user_host.USERS_PER_TURN)


def test_what_a_user_class_raises_is_told_once_also_when_others_have_begun(runner: Runner) -> None:
    told: list[str] = []
    host = Host(runner, told.append)
    host.apply({"A": 20}, 5.0)
    made = runner.user_classes_by_name["A"]

    def make(environment: Any) -> FakeUser:
        if len(runner.users) == 60:
            raise ValueError("no more")
        return made(environment)

    runner.user_classes_by_name["A"] = make  # type: ignore[assignment]
    host.apply({"A": 200}, 5.0)
    wait_for(lambda: told)
    gevent.sleep(0.01)
    assert told == ["its users cannot be started: ValueError('no more')"]
    assert (host.count, len(runner.spawned)) == (60, 60)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told of hosts whose users count as `InferenceUser`."""
    monkeypatch.setattr(user_host, "InferenceUser", FakeUser)
    monkeypatch.setattr(user_host, "NOBODY_S", 0.05)
    return []


def assign(*, is_finite: bool) -> None:
    client: Any = SimpleNamespace()
    assign_users(Assignment(client=client, take=lambda: None, is_counted=is_finite), 0.0, 0.0)


@pytest.mark.parametrize("is_finite", [True, False])
def test_users_of_whom_none_is_left_by_themselves_are_told_of_where_the_run_would_not_end(
    runner: Runner, told: list[str], is_finite: bool
) -> None:
    host = Host(runner, told.append)
    assign(is_finite=is_finite)
    host.apply({"A": 3}, 5.0)
    for user in runner.users[:2]:
        user._end.set()
    gevent.sleep(0.2)
    assert told == []
    runner.users[2]._end.set()
    gevent.sleep(0.02)
    assert told == []
    gevent.sleep(0.2)
    assert [text[:40] for text in told] == ["all its users have ended by themselves, "] * is_finite
    release_users()


def test_users_that_end_by_themselves_and_are_replaced_in_time_are_not_told_of(runner: Runner, told: list[str]) -> None:
    host = Host(runner, told.append)
    assign(is_finite=True)
    for users in range(1, 6):
        host.apply({"A": users}, 5.0)
        for user in runner.users:
            user._end.set()
        gevent.sleep(0.03)
    assert told == []
    host.apply({"A": 1}, 5.0)
    gevent.sleep(0.2)
    assert told == []
    runner.users[-1]._end.set()
    host.apply({"A": 0}, 5.0)  # they are wanted elsewhere
    gevent.sleep(0.2)
    assert told == []
    release_users()


def test_users_of_the_next_run_are_watched_though_some_of_the_former_had_just_ended(
    runner: Runner, told: list[str]
) -> None:
    host, said = Host(runner, told.append), list[bool]()
    assign(is_finite=True)
    for users in ({"A": 2}, {"A": 1}):
        host.apply(users, 5.0)
        runner.users[-1]._end.set()
        if users["A"] == 2:
            gevent.sleep(0.01)
            host.stop_all(5.0, lambda: said.append(True))
            wait_for(lambda: said)
    gevent.sleep(0.2)
    assert [text[:40] for text in told] == ["all its users have ended by themselves, "]
    release_users()


def test_users_that_are_told_to_end_have_not_ended_by_themselves(runner: Runner, told: list[str]) -> None:
    host, said = Host(runner, told.append), list[bool]()
    assign(is_finite=True)
    host.apply({"A": 3}, 5.0)
    host.apply({"A": 0}, 5.0)
    wait_for(lambda: not runner.running() and not runner.user_greenlets)
    host.apply({"A": 3}, 5.0)
    host.stop_all(5.0, lambda: said.append(True))
    wait_for(lambda: said)
    gevent.sleep(0.2)
    assert told == []
    release_users()


def test_a_user_that_is_on_its_way_out_or_cannot_be_stopped_keeps_no_other_from_being_told(runner: Runner) -> None:
    host, said = Host(runner, fail), list[bool]()
    host.apply({"A": 4}, 0.05)
    first, second = runner.users[:2]
    first._state = "stopping"
    second.stop = lambda: 1 / 0  # type: ignore[assignment, method-assign]
    host.stop_all(0.05, lambda: said.append(True))
    wait_for(lambda: said)
    assert [user.stopped for user in runner.users] == [[], [], [False], [False]]
    assert runner.running() == {}


def waiting(runner: Runner) -> gevent.event.AsyncResult:
    """After the first turn the class waits when a user is made of it, for what is returned."""
    made, go_on = runner.user_classes_by_name["A"], gevent.event.AsyncResult()

    def make(environment: Any) -> FakeUser:
        user = made(environment)
        if len(runner.users) >= user_host.USERS_PER_TURN:
            go_on.get()
        return user

    runner.user_classes_by_name["A"] = make  # type: ignore[assignment]
    return go_on


def test_an_order_that_comes_while_a_user_is_made_begins_no_other_one(runner: Runner) -> None:
    host = Host(runner, fail)
    go_on = waiting(runner)
    host.apply({"A": 40}, 5.0)
    gevent.sleep(0.01)
    for _ in range(3):
        host.apply({"A": 40}, 5.0)
    assert host.count == 40
    go_on.set()
    wait_for(lambda: len(runner.spawned) >= 40)
    gevent.sleep(0.01)
    assert (host.count, runner.running()) == (40, {"A": 40})


def test_a_user_that_is_being_made_when_all_are_stopped_does_not_begin(runner: Runner) -> None:
    host = Host(runner, fail)
    go_on = waiting(runner)
    host.apply({"A": 40}, 5.0)
    gevent.sleep(0.01)
    said: list[bool] = []
    host.stop_all(5.0, lambda: said.append(True))
    wait_for(lambda: said)
    host.apply({"A": 3}, 5.0)  # the next run
    go_on.set()
    wait_for(lambda: runner.running() == {"A": 3})
    assert (host.count, len(runner.spawned)) == (3, user_host.USERS_PER_TURN + 3)


def test_what_is_raised_when_all_have_been_stopped_is_not_told_of_the_next_run(runner: Runner) -> None:
    told: list[str] = []
    host = Host(runner, told.append)
    go_on = waiting(runner)
    host.apply({"A": 40}, 5.0)
    gevent.sleep(0.01)
    host.stop_all(0.0, lambda: None)
    go_on.set_exception(ValueError("cannot log in"))
    gevent.sleep(0.01)
    assert (told, host.count, runner.running()) == ([], 0, {})


def test_a_turn_in_which_nobody_begins_leaves_the_state_as_it_is(runner: Runner) -> None:
    host = Host(runner, fail)
    host.apply({"A": 2 * user_host.USERS_PER_TURN}, 0.0)
    host.stop_all(0.0, lambda: None)
    runner.update_state(STATE_INIT)
    gevent.sleep(0.02)
    assert runner.states == [STATE_SPAWNING, STATE_INIT]
