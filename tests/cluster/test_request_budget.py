"""`--requests`: both sides of the account, with messages that are lost, late and repeated."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.cluster.request_budget import Grant, RequestBudget
from inference_swarm.cluster.run_end import _requests_unsent
from inference_swarm.cluster.state import Job
from inference_swarm.load.allowance import Need, RequestAllowance, RequestUse
from inference_swarm.run.course import Stop, StopCause


def use(number: int, limit: int, wanted: int, started: int = 0, ended: int = 0) -> RequestUse:
    return RequestUse(number, limit, wanted, started, ended)


def test_half_of_what_is_free_is_shared_out_at_a_time() -> None:
    budget = RequestBudget(100, is_open=False)
    for worker in ("a", "b"):
        assert budget.report(worker, use(-1, 0, 1000), 0.0) is None
    assert budget.take_grants(["a", "b"]) == [("a", Grant(0, 25)), ("b", Grant(0, 19))]
    assert budget.take_grants(["a", "b"]) == []  # what they want now they have not said yet


def test_in_an_open_load_a_worker_is_given_what_it_wants() -> None:
    budget = RequestBudget(100, is_open=True)
    budget.report("a", use(-1, 0, 70), 0.0)
    budget.report("b", use(-1, 0, 70), 0.0)
    assert budget.take_grants(["a", "b"]) == [("a", Grant(0, 70)), ("b", Grant(0, 30))]


def test_a_grant_that_a_worker_does_not_know_is_repeated() -> None:
    budget = RequestBudget(10, is_open=True)
    budget.report("a", use(-1, 0, 5), 0.0)
    budget.take_grants(["a"])
    assert budget.report("a", use(-1, 0, 7), 1.0) == Grant(0, 5)
    assert budget.take_grants(["a"]) == []
    assert budget.report("a", use(0, 5, 7), 2.0) is None
    assert budget.take_grants(["a"]) == [("a", Grant(1, 7))]


def test_what_is_given_up_counts_only_if_no_other_grant_is_under_way() -> None:
    budget = RequestBudget(10, is_open=True)
    budget.report("a", use(-1, 0, 4), 0.0)
    budget.take_grants(["a"])
    budget.report("a", use(0, 4, 8), 1.0)
    assert budget.take_grants(["a"]) == [("a", Grant(1, 8))]
    assert budget.report("a", use(0, 2, 2), 2.0) == Grant(1, 8)
    budget.report("b", use(-1, 0, 10), 2.0)
    assert budget.take_grants(["b"]) == [("b", Grant(0, 2))]
    budget.report("a", use(1, 3, 3, started=1), 3.0)
    budget.report("b", use(0, 2, 10), 3.0)
    assert budget.take_grants(["b"]) == [("b", Grant(1, 7))]


def test_a_final_report_gives_back_what_is_left_and_a_loss_does_not() -> None:
    budget = RequestBudget(10, is_open=True)
    for worker in ("a", "b", "c"):
        budget.report(worker, use(-1, 0, {"a": 4, "b": 6, "c": 9}[worker]), 0.0)
    assert budget.take_grants(["a", "b", "c"]) == [("a", Grant(0, 4)), ("b", Grant(0, 6))]
    budget.final("a", use(0, 4, 1, started=1, ended=1))
    budget.final("a", use(0, 4, 0, started=0, ended=0))  # again
    assert budget.take_grants(["c"]) == [("c", Grant(0, 3))]
    assert budget.possibly_sent("b") == 6
    assert budget.possibly_sent("d") is None


@pytest.mark.parametrize(
    ("cause", "at_s", "end_s", "unsent"),
    [
        (StopCause.ALL_REQUESTS, 2.0, 60.0, 3),  # the others had sent all they were granted
        (StopCause.ALL_REQUESTS, 60.1, 60.0, 0),  # its arrivals are over as well: they are unaccounted, not unsent
        (StopCause.ALL_REQUESTS, 2.0, None, 3),  # a closed load, or an open one without an end
        (StopCause.ASKED, 2.0, 60.0, 0),  # which says enough
    ],
)
def test_what_a_worker_had_left_that_was_lost_and_came_back_is_not_sent(
    cause: StopCause, at_s: float, end_s: float | None, unsent: int
) -> None:
    budget = RequestBudget(10, is_open=True)
    budget.report("a", use(-1, 0, 4), 0.0)
    budget.report("lost", use(-1, 0, 6), 0.0)
    budget.take_grants(["a", "lost"])
    budget.report("a", use(0, 4, 4, 4, 4), 1.0)
    budget.report("lost", use(0, 6, 6, 3, 3), 1.0)
    assert budget.is_done(["a"])
    schedule = SimpleNamespace(end_ns=None if end_s is None else end_s * 1e9)
    job = SimpleNamespace(
        budget=budget, course=SimpleNamespace(stop=Stop(cause, at_s)), load=SimpleNamespace(schedule=schedule)
    )
    assert _requests_unsent(cast(Job, job)) == unsent


def test_the_load_is_over_when_all_that_can_be_sent_has_ended() -> None:
    budget = RequestBudget(10, is_open=True)
    assert not budget.is_done(["a"])
    budget.report("a", use(-1, 0, 4), 0.0)
    budget.report("b", use(-1, 0, 6), 0.0)
    budget.take_grants(["a", "b"])
    budget.report("a", use(0, 4, 4, 4, 4), 1.0)
    budget.report("b", use(0, 6, 6, 6, 5), 1.0)
    assert not budget.is_done(["a", "b"])
    assert budget.is_done(["a"])  # b is lost
    assert budget.unsent() == 1
    assert not budget.is_done([])  # and may come back
    budget.report("b", use(0, 6, 6, 6, 6), 2.0)
    assert budget.is_done(["a", "b"])
    assert budget.is_done([])


def test_an_open_load_is_over_when_every_worker_has_said_so_after_the_last_arrival() -> None:
    budget = RequestBudget(10, is_open=True)
    budget.report("a", use(-1, 0, 4), 0.0)
    budget.take_grants(["a"])
    budget.report("a", use(0, 4, 4, 4, 4), 4.0)
    assert not budget.is_idle_since(5.0, ["a"], 5.0)
    budget.report("a", use(0, 4, 5, 4, 4), 5.1)
    assert not budget.is_idle_since(5.0, ["a"], 5.1)
    budget.report("a", use(0, 4, 4, 4, 4), 5.2)
    assert budget.is_idle_since(5.0, ["a"], 5.2)
    assert not budget.is_idle_since(5.0, [], 5.2)
    budget.final("a", use(0, 4, 4, 4, 4))
    assert not budget.is_idle_since(6.0, ["a"], 5.9)  # another worker may come


def test_a_worker_never_goes_beyond_its_limit_and_an_old_grant_changes_nothing() -> None:
    allowance, low = RequestAllowance(), []
    allowance.on_low = lambda: low.append(allowance.started)
    take = allowance.counted(lambda: b"request")
    assert take() is None
    assert allowance.grant(0, 4)
    assert not allowance.grant(0, 9)
    assert [take() for _ in range(6)] == [b"request"] * 4 + [None, None]
    assert low == [0, 2, 4, 4]
    assert allowance.grant(1, 5)
    assert allowance.take_one()
    assert not allowance.take_one()
    assert allowance.final_use(dropped=2) == use(1, 5, 7, 7, 7)


def test_what_there_is_no_row_for_is_not_counted() -> None:
    allowance = RequestAllowance()
    allowance.grant(0, 4)
    assert allowance.counted(lambda: None)() is None
    assert allowance.started == 0


def test_a_worker_asks_for_three_seconds_at_its_pace() -> None:
    allowance = RequestAllowance()
    assert allowance.need_of_users(4, 0.0) == Need(400)
    allowance.report(0, Need(400), 0.0)
    allowance.grant(0, 10_000)
    for second in range(1, 4):
        for _ in range(200):
            allowance.take_one()
        allowance.report(0, allowance.need_of_users(4, float(second)), float(second))
    assert allowance.need_of_users(4, 4.0) == Need(300)  # of the last two seconds
    assert allowance.need_of_users(0, 4.0) == Need(0, is_exact=True)


def test_a_worker_gives_up_what_it_does_not_need() -> None:
    allowance = RequestAllowance()
    allowance.grant(0, 1000)
    assert allowance.report(0, Need(600), 0.0).limit == 1000
    assert allowance.report(0, Need(100), 1.0) == use(0, 100, 100)
    allowance.take_one()
    assert allowance.report(0, Need(0, is_exact=True), 2.0) == use(0, 1, 1, 1, 0)
    assert not allowance.take_one()


def test_a_report_is_told_when_it_is_new_or_asks_for_more_and_again_once_a_second() -> None:
    allowance = RequestAllowance()
    done, busy, asking = use(0, 4, 4, 4, 4), use(0, 4, 4, 4, 3), use(0, 4, 5, 4, 4)
    assert [allowance.is_to_be_told(done, 0.5 * turn) for turn in range(5)] == [True, False, True, False, True]
    assert [allowance.is_to_be_told(one, 2.1) for one in (busy, busy, asking, asking, done, done)] == [
        *[True] * 5,
        False,
    ]


@dataclass
class _Worker:
    allowance: RequestAllowance = field(default_factory=RequestAllowance)
    sent: int = 0
    is_gone: bool = False


@settings(max_examples=300, deadline=None)
@given(
    requests=st.integers(1, 60),
    is_open=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from("srrrgglfdn"), st.integers(0, 3), st.integers(0, 40)), min_size=10, max_size=120
    ),
)
def test_never_more_are_sent_than_were_asked_for_and_all_of_them_in_the_end(
    requests: int, is_open: bool, steps: list[tuple[str, int, int]]
) -> None:
    budget = RequestBudget(requests, is_open=is_open)
    workers = [_Worker() for _ in range(4)]
    under_way: list[tuple[int, Grant]] = []
    reports: list[tuple[int, RequestUse]] = []

    def deliver_report(place: int) -> None:
        number, message = reports.pop(place % len(reports))
        if grant := budget.report(str(number), message, 0.0):
            under_way.append((number, grant))
        live = [str(n) for n, worker in enumerate(workers) if not worker.is_gone]
        under_way.extend((int(worker), grant) for worker, grant in budget.take_grants(live))

    for kind, number, amount in steps:
        worker = workers[number]
        if kind == "s" and not worker.is_gone:
            worker.sent += sum(worker.allowance.take_one() for _ in range(amount))
        elif kind == "r" and not worker.is_gone:
            reports.append((number, worker.allowance.report(worker.sent, Need(amount, is_open), 0.0)))
        elif kind == "g" and under_way:
            to, grant = under_way.pop(amount % len(under_way))
            workers[to].allowance.grant(grant.number, grant.limit)
        elif kind == "l" and under_way:
            under_way.pop(amount % len(under_way))  # lost
        elif kind == "d" and reports:
            reports.append(reports[amount % len(reports)])  # twice
        elif kind == "n" and reports:
            deliver_report(amount)
        elif kind == "f" and not worker.is_gone and number:
            worker.is_gone = True
            budget.final(str(number), worker.allowance.final_use(0))
        assert sum(one.sent for one in workers) <= requests
    # The rest of the run without faults: the last worker that is there sends all that is left.
    for turn in range(200):
        for number, worker in enumerate(workers):
            if not worker.is_gone:
                reports.append((number, worker.allowance.report(worker.sent, Need(5 if number == 0 else 0, True), 0.0)))
        while reports:
            deliver_report(0)
        while under_way:
            to, grant = under_way.pop(0)
            workers[to].allowance.grant(grant.number, grant.limit)
        workers[0].sent += sum(workers[0].allowance.take_one() for _ in range(5))
        if turn > 2 and budget.is_done(["0", "1", "2", "3"]):
            break
    assert sum(one.sent for one in workers) == requests


@pytest.mark.parametrize("is_open", [False, True])
def test_what_a_worker_says_beyond_its_grant_changes_nothing(is_open: bool) -> None:
    budget = RequestBudget(10, is_open=is_open)
    budget.report("a", use(7, 99, 99, 99, 99), 0.0)
    budget.report("a", use(-1, 99, 99, 99, 99), 0.0)
    budget.take_grants(["a"])
    assert not budget.is_done(["a"])
    assert budget.possibly_sent("a") == (10 if is_open else 5)
