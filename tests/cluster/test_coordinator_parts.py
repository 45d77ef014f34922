"""Rows go to no more workers than there are users, and follow workers that come and go."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.placement import choose_hosts, first_hosts
from inference_swarm.cluster.protocol import OnceReport, RowsLoading, RowsReady, RunOffer, numbers_in
from inference_swarm.cluster.run_rows import RunRows
from inference_swarm.cluster.state import Coordinator, Job, Member
from inference_swarm.data.progress import BlockProgress, OnceNumbers
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan, RunCourse

EVERYTHING_SENT = 1 << 30  # a generation that no assignment reaches
OFFER = RunOffer({"version": 1}, {"host": "http://h"})


def rows_of(*block_rows: int, is_once: bool = False) -> RunRows:
    return RunRows("run", block_rows, OFFER, is_once=is_once)


def blocks(rows: RunRows) -> dict[str, list[int]]:
    return {worker: numbers_in(hold.blocks) for worker, hold in rows.take_messages()}


def ready(rows: RunRows, worker: str) -> int:
    return rows.ready(worker, RowsReady("run", EVERYTHING_SENT, 1, 1, 1, 0.1, is_windowed=False))


def job_of(users: int, load: LoadPlan, block_count: int = 12) -> Job:
    job = Job(RunCourse("run", load, SwarmTotals("run")), (UserClass("A"),), 0.0, wanted=(users, 1.0))
    job.rows = rows_of(*[10] * block_count, is_once=load.is_once)
    return job


def state_with(*workers: str) -> Coordinator:
    state = Coordinator()
    for index, worker in enumerate(workers):
        state.members[worker] = Member(worker, 1, index, 0.0)
    return state


# placement


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "go", "leave", "fail", "users"]), st.integers(0, 7)), min_size=1, max_size=25
    )
)
def test_never_more_workers_hold_rows_than_there_are_users_and_never_fewer_than_can_be(
    steps: list[tuple[str, int]],
) -> None:
    state = state_with("w0", "w1")
    job = state.job = job_of(3, LoadPlan(3, 1.0))
    assert job.rows is not None
    job.rows.start(first_hosts(state, job))
    for what, number in steps:
        worker = f"w{number}"
        if what == "users":
            job.wanted = (number, 1.0)
        elif what == "come":
            state.members.pop(worker, None)
            state.members[worker] = Member(worker, 1, number, 0.0)
        elif what == "go" and worker in state.members:
            state.members[worker].lost_s = 1.0
            job.rows.lose(worker)
        elif what == "leave" and worker in state.members:
            state.members[worker].is_leaving = True
        elif what == "fail":
            job.course.failures[worker] = "no such file"
        choose_hosts(state, job)
        able = {one.worker for one in state.members.values() if one.may_take_part} - set(job.course.failures)
        assert len(job.rows.workers) == min(len(able), max(1, job.wanted[0]))
        assert set(job.rows.workers) <= able


def test_who_holds_rows_already_goes_on_when_there_are_fewer_users() -> None:
    state = state_with("a", "b", "c")
    job = state.job = job_of(3, LoadPlan(3, 1.0))
    assert job.rows is not None
    job.rows.start(first_hosts(state, job))
    job.wanted = (2, 1.0)
    choose_hosts(state, job)
    assert job.rows.workers == ("a", "b")


def test_who_can_run_users_stays_rather_than_who_still_loads() -> None:
    state = state_with("a", "b", "c")
    job = state.job = job_of(3, LoadPlan(3, 1.0))
    assert job.rows is not None
    job.rows.start(first_hosts(state, job))
    ready(job.rows, "c")
    job.wanted = (1, 1.0)
    choose_hosts(state, job)
    assert job.rows.workers == ("c",)


@pytest.mark.parametrize(("is_once", "holders"), [(False, 3), (True, 1)])
def test_stages_have_rows_loaded_for_their_highest_step_but_order_once_leaves_none_with_whom_nobody_sends(
    is_once: bool, holders: int
) -> None:
    state = state_with("a", "b", "c", "d")
    job = state.job = job_of(1, LoadPlan(1, 1.0, stages=parse_stages("5s@1,5s@3"), is_once=is_once))
    assert len(first_hosts(state, job)) == holders


# rows of a run


def test_every_block_is_given_once_with_the_offer_and_it_is_ready_when_all_have_said_so() -> None:
    rows = rows_of(10, 20, 30, 40)
    rows.start(["a", "b"])
    said = dict(rows.take_messages())
    assert {worker: numbers_in(hold.blocks) for worker, hold in said.items()} == {"a": [0, 1], "b": [2, 3]}
    assert [hold.offer for hold in said.values()] == [OFFER, OFFER]
    assert (rows.hosts(), rows.is_settled, rows.pending_workers()) == ((), False, ["a", "b"])
    rows.loading("b", RowsLoading("run", 1, 1, 30, 999))
    assert (rows.states()["b"].rows, rows.states()["b"].ready_rows, rows.states()["b"].is_ready) == (70, 30, False)
    assert ready(rows, "a") == 2
    assert ready(rows, "a") == 0
    assert (rows.hosts(), rows.pending_workers()) == (("a",), ["b"])
    ready(rows, "b")
    assert rows.is_settled
    assert rows.hosts() == ("a", "b")


def test_the_offer_is_sent_once_and_again_when_a_message_seems_lost() -> None:
    rows = rows_of(1, 1, 1, 1)
    rows.start(["a"])
    assert dict(rows.take_messages())["a"].offer == OFFER
    ready(rows, "a")
    rows.join("b")
    assert {worker: hold.offer for worker, hold in rows.take_messages()} == {"b": OFFER}
    ready(rows, "b")
    assert {worker: hold.offer for worker, hold in rows.take_messages()} == {"a": None}
    rows.repeat("a")
    assert {worker: hold.offer for worker, hold in rows.take_messages()} == {"a": OFFER}


def test_a_former_owner_serves_its_blocks_until_the_one_who_takes_them_over_is_ready() -> None:
    rows = rows_of(1, 1, 1, 1)
    rows.start(["a"])
    ready(rows, "a")
    blocks(rows)
    rows.join("b")
    assert blocks(rows) == {"b": [2, 3]}
    assert rows.hosts() == ("a",)
    ready(rows, "b")
    assert blocks(rows)["a"] == [0, 1]
    assert rows.hosts() == ("a", "b")


def test_the_blocks_of_a_lost_worker_go_to_the_others_and_nothing_is_said_to_it() -> None:
    rows = rows_of(1, 1, 1, 1)
    rows.start(["a", "b"])
    ready(rows, "a")
    ready(rows, "b")
    blocks(rows)
    rows.lose("b")
    assert blocks(rows) == {"a": [0, 1, 2, 3]}
    assert rows.hosts() == ("a",)
    assert rows.is_changed


def test_order_once_leases_each_block_to_one_worker_and_a_moved_one_after_it_was_given_back() -> None:
    rows = rows_of(4, 4, is_once=True)
    rows.start(["a"])
    assert [lease.block_id for lease in dict(rows.take_messages())["a"].leases] == [0, 1]
    ready(rows, "a")
    rows.join("b")
    assert dict(rows.take_messages())["b"].leases == ()
    ready(rows, "b")
    assert blocks(rows) == {"a": [0]}  # "b" may not send what "a" has not given back
    rows.once_report("a", OnceReport.of("run", 1, [BlockProgress(1, 1, 2, ((0, 2),), is_released=True)]))
    (lease,) = dict(rows.take_messages())["b"].leases
    assert (lease.block_id, lease.lease, lease.rows) == (1, 2, ((2, 4),))
    rows.once_report("a", OnceReport.of("run", 2, [BlockProgress(0, 1, 4, ((0, 4),), is_released=True)]))
    assert not rows.is_all_sent
    rows.once_report("b", OnceReport.of("run", 1, [BlockProgress(1, 2, 4, ((2, 4),), is_released=True)]))
    assert rows.is_all_sent
    assert rows.once_numbers() == OnceNumbers(8, 8, 0, 0, 0)
