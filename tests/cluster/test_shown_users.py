"""Users for viewers: never more than are wanted while a worker drains, whose users are counted apart."""

from __future__ import annotations

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.run_users import RunUsers
from inference_swarm.cluster.shown_users import ShownUsers
from inference_swarm.cluster.state import Coordinator, Job, Member
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan, RunCourse

WANTED = 200


def three_workers() -> tuple[Coordinator, RunUsers, ShownUsers]:
    """All wanted users run, and are reported."""
    state = Coordinator()
    users = RunUsers("run", (UserClass("A"),), WANTED, 0.0, "", is_open=True)
    course = RunCourse("run", LoadPlan(WANTED, WANTED), SwarmTotals("run"))
    state.job = Job(course, (UserClass("A"),), 0.0, users=users)
    users.want(WANTED, WANTED, 0.0)
    assign(users, "a", "b", "c")
    for index, worker in enumerate("abc"):
        state.members[worker] = Member(worker, 1, index, 0.0, users={"A": users.users_of(worker)})
    return state, users, ShownUsers(state)


def assign(users: RunUsers, *workers: str) -> None:
    users.set_hosts(workers, 0.0)
    for second in range(10):
        users.advance(float(second))
    assert users.user_count == WANTED


def test_users_of_a_worker_that_leaves_are_apart_from_those_that_run_in_their_place() -> None:
    state, users, shown = three_workers()
    shown.note("c")
    assert (shown.running, shown.draining) == (WANTED, 0)
    had = users.users_of("c")
    assert state.job is not None
    state.job.waited_for.add("c")
    state.members["c"].is_leaving = True
    shown.note("c")
    assign(users, "a", "b")
    assert (shown.running, shown.draining) == (WANTED - had, had)
    for worker in "ab":
        state.members[worker].users = {"A": 100}
    assert (shown.running, shown.draining) == (WANTED, had)
    state.members["c"].users = {}  # told to stop; its requests are still in flight
    shown.note("c")
    assert (shown.running, shown.draining) == (WANTED, had)
    state.job.waited_for.discard("c")  # its last report is in, its goodbye is not
    shown.note("c")
    assert (shown.running, shown.draining) == (WANTED, 0)


def test_users_that_a_worker_hands_over_to_one_that_joins_are_not_counted_twice() -> None:
    state, users, shown = three_workers()
    assign(users, "a", "b", "c", "d")
    state.members["d"] = Member("d", 1, 3, 0.0, users={"A": 50})
    assert (shown.running, shown.draining) == (WANTED, 50)


def test_a_worker_that_leaves_a_second_time_is_counted_as_it_is_then() -> None:
    state, _, shown = three_workers()
    member = state.members["c"]
    member.is_leaving = True
    shown.note("c")
    member.is_leaving = False
    shown.note("c")
    member.users = {"A": 3}
    member.is_leaving = True
    shown.note("c")
    assert shown.draining == 3
