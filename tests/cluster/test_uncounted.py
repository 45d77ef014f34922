"""What a lost worker may have sent and nobody counted is never more than is said."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from inference_swarm.cluster.run_users import divide
from inference_swarm.cluster.uncounted import Order, Uncounted
from inference_swarm.load.arrivals import ArrivalProcess, Part, Schedule
from inference_swarm.load.stages import Stages

BEGAN_S = 50.0
OPEN = Schedule(ArrivalProcess.CONSTANT, Stages.constant(20), seed=1)


def test_a_worker_that_was_told_nothing_has_sent_nothing() -> None:
    uncounted = Uncounted()
    assert not uncounted.is_exposed("a")
    uncounted.notified("a", Order(1, 0, 0.0), 50.0)
    assert uncounted.bound("a", 60.0) == 0


def test_without_a_report_of_anybody_no_bound_is_known() -> None:
    uncounted = Uncounted()
    uncounted.notified("a", Order(1, 3, 0.0), 50.0)
    assert uncounted.bound("a", 60.0) is None


def test_users_send_no_faster_than_users_were_seen_to_send() -> None:
    uncounted = Uncounted()
    uncounted.notified("a", Order(1, 2, 0.0), 50.0)
    uncounted.notified("b", Order(2, 4, 0.0), 50.0)
    uncounted.reported(
        "b", 0, ended=36, user_seconds=20.0, until_s=55.0, in_flight=4
    )  # (36 + 4) / 20: two a second at most
    assert uncounted.peak_per_user_rps == 2.0
    # 5 s since the beginning with two users, each of which may have begun one more.
    assert uncounted.bound("a", 55.0) == 5 * 2 * 2 + 2
    uncounted.reported("a", 0, ended=10, user_seconds=6.0, until_s=53.0, in_flight=2)
    # Each had one under way at the report, which is not counted either.
    assert uncounted.bound("a", 55.0) == 2 * 2 * 2 + 2 + 2


def test_a_report_of_hardly_any_time_is_no_evidence_of_a_rate() -> None:
    uncounted = Uncounted()
    uncounted.notified("a", Order(1, 2, 0.0), 50.0)
    uncounted.reported("a", 0, ended=1, user_seconds=0.5, until_s=50.2, in_flight=2)
    assert uncounted.peak_per_user_rps is None


def test_reports_of_a_worker_that_may_have_stood_still_show_no_rate() -> None:
    uncounted = Uncounted()
    for worker in ("a", "b"):
        uncounted.notified(worker, Order(1, 2, 0.0), 50.0)
    uncounted.was_silent("b")
    uncounted.reported("b", 0, ended=2, user_seconds=12.0, until_s=56.0, in_flight=2)
    assert uncounted.bound("a", 56.0) is None
    uncounted.reported("a", 0, ended=22, user_seconds=12.0, until_s=56.0, in_flight=2)
    assert uncounted.peak_per_user_rps == 2.0


def test_what_it_was_told_counts_from_then_on_until_it_follows_a_later_order() -> None:
    uncounted = Uncounted(peak_per_user_rps=1.0)
    uncounted.notified("a", Order(1, 10, 0.0), 50.0)
    uncounted.notified("a", Order(2, 1, 0.0), 51.0)
    uncounted.reported("a", 0, ended=0, user_seconds=0.0, until_s=52.0, in_flight=10)
    assert uncounted.bound("a", 53.0) == 10 + 20  # it may not have heard of the second order
    uncounted.applied("a", 2, 52.0)
    uncounted.reported("a", 1, ended=0, user_seconds=0.0, until_s=53.0, in_flight=7)
    assert uncounted.bound("a", 54.0) == 1 + 1 + 7  # those of the ten that are still under way


def test_of_an_open_load_no_more_is_missing_than_the_schedule_held_for_the_worker() -> None:
    uncounted = Uncounted(OPEN, began_s=BEGAN_S, drop_after_s=1.0)
    uncounted.notified("a", Order(1, 3, 0.5), 50.0)
    uncounted.reported("a", 0, ended=20, user_seconds=9.0, until_s=53.0, in_flight=3)
    # From 1 s before its last report (what was waiting then) until 55 s: 3 s of 20/s, half of them its own.
    assert uncounted.bound("a", 55.0) == 30 + 1 + 3


def test_arrivals_may_be_sent_twice_while_a_worker_has_not_heard_whose_they_are() -> None:
    uncounted = Uncounted(OPEN, began_s=BEGAN_S)
    uncounted.notified("a", Order(1, 2, 1.0), 50.0)
    uncounted.notified("a", Order(2, 2, 0.5, from_s=4.0), 53.6)
    assert uncounted.possible_duplicates("a", 56.0) == 2 * 20 + 1
    assert uncounted.possible_duplicates("a", 56.0) == 0  # asked once
    uncounted.notified("b", Order(1, 2, 1.0), 50.0)
    uncounted.notified("b", Order(2, 2, 0.5, from_s=4.0), 53.6)
    uncounted.applied("b", 2, 55.0)
    assert uncounted.possible_duplicates("b", 56.0) == 0


def test_as_many_other_arrivals_from_the_same_instant_on_may_be_sent_twice_as_well() -> None:
    # Before the load begins, all changes hold from its beginning on.
    uncounted = Uncounted(OPEN, began_s=BEGAN_S)
    uncounted.notified("a", Order(1, 2, 0.5, 0.0, (1, 3)), 50.0)
    uncounted.notified("a", Order(2, 2, 0.5, 0.0, (0, 3)), 50.1)
    assert uncounted.possible_duplicates("a", BEGAN_S + 2.0) == 20 + 1


def test_users_that_were_told_to_stop_count_while_their_request_is_under_way_however_long() -> None:
    uncounted = Uncounted(peak_per_user_rps=1.0)
    uncounted.notified("a", Order(1, 9, 0.0), 50.0)
    uncounted.notified("a", Order(2, 1, 0.0), 51.0)
    uncounted.applied("a", 2, 51.5)
    for sequence, (until_s, in_flight) in enumerate(((52.0, 10), (54.0, 9), (550.0, 3), (590.0, 1))):
        uncounted.reported("a", sequence, ended=0, user_seconds=0.0, until_s=until_s, in_flight=in_flight)
        assert uncounted.bound("a", until_s) == 1 + in_flight


@settings(max_examples=80, deadline=None)
@given(
    service_s=st.floats(0.05, 3.0),
    users=st.integers(1, 9),
    reports=st.lists(st.floats(0.5, 4.0), min_size=1, max_size=5),
    more_s=st.floats(0.0, 4.0),
)
def test_the_bound_holds_for_users_that_send_one_request_after_the_other(
    service_s: float, users: int, reports: list[float], more_s: float
) -> None:
    uncounted, now_s, counted = Uncounted(), BEGAN_S, 0
    uncounted.notified("a", Order(1, users, 0.0), BEGAN_S)

    def ended(until_s: float) -> int:
        return users * int((until_s - BEGAN_S) / service_s)

    for sequence, pause_s in enumerate(reports):
        now_s += pause_s
        uncounted.reported("a", sequence, ended(now_s) - counted, users * pause_s, now_s, users)
        counted = ended(now_s)
    lost_s = now_s + more_s
    bound = uncounted.bound("a", lost_s)
    begun = ended(lost_s) + users
    assert bound is None or begun - counted <= bound


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 3), reported_s=st.floats(0.1, 8.0), more_s=st.floats(0.0, 4.0))
def test_the_bound_holds_for_arrivals(index: int, reported_s: float, more_s: float) -> None:
    uncounted = Uncounted(OPEN, began_s=BEGAN_S, drop_after_s=0.5)
    uncounted.notified("a", Order(1, 1, 0.25), BEGAN_S)
    uncounted.reported("a", 0, 1, 1.0, BEGAN_S + reported_s, 0)
    until_s = reported_s + more_s
    sent = Part((index,), 4).pick(OPEN.between(round(reported_s * 1e9), round(until_s * 1e9))).size
    bound = uncounted.bound("a", BEGAN_S + until_s)
    assert bound is not None
    assert sent <= bound


def test_looking_for_possible_duplicates_leaves_the_bound_as_it_is() -> None:
    def bound(*, is_stopped: bool) -> int | None:
        uncounted = Uncounted(OPEN, began_s=BEGAN_S)
        uncounted.notified("a", Order(1, 2, 0.5), BEGAN_S)
        if is_stopped:
            uncounted.possible_duplicates("a", 56.0)
        uncounted.reported("a", 0, ended=10, user_seconds=6.0, until_s=53.0, in_flight=2)
        return uncounted.bound("a", 55.0)

    assert bound(is_stopped=True) == bound(is_stopped=False)
    assert bound(is_stopped=True) >= 20


def test_order_once_bounds_by_what_was_reserved() -> None:
    uncounted = Uncounted()
    uncounted.notified("a", Order(1, 2, 0.0), BEGAN_S)
    uncounted.reported("a", 0, ended=10, user_seconds=6.0, until_s=53.0, in_flight=2)
    assert uncounted.bound("a", 90.0, possibly_sent=14) == 4


def test_a_report_says_nothing_of_the_time_of_one_before_it_that_is_missing() -> None:
    uncounted = Uncounted(peak_per_user_rps=2.0)
    uncounted.notified("a", Order(1, 3, 0.0), BEGAN_S)
    uncounted.reported("a", 1, ended=12, user_seconds=3.0, until_s=56.0, in_flight=2)
    assert uncounted.bound("a", 56.0) == 5 * 6 * 3 + 3  # five a second were seen, since the beginning
    uncounted.reported("a", 0, ended=12, user_seconds=9.0, until_s=53.0, in_flight=3)
    assert uncounted.bound("a", 56.0) == 3 + 2


def test_a_report_that_is_read_late_leaves_open_what_was_sent_by_the_orders_of_that_time() -> None:
    uncounted = Uncounted(OPEN, began_s=BEGAN_S, drop_after_s=0.0)
    uncounted.notified("a", Order(1, 2, 0.5), BEGAN_S)
    uncounted.notified("a", Order(2, 0, 0.0), 55.0)
    uncounted.applied("a", 2, 56.0)
    uncounted.reported("a", 0, ended=20, user_seconds=4.0, until_s=52.0, in_flight=2)
    # 20 a second, half of them its own, from the report to the second order at least
    assert uncounted.bound("a", 56.0) >= 20 * 0.5 * (56.0 - 52.0)


def test_what_a_lost_worker_sent_twice_and_would_have_reported_is_bounded() -> None:
    uncounted = Uncounted(OPEN, began_s=BEGAN_S)
    uncounted.notified("a", Order(1, 2, 0.5), BEGAN_S)
    uncounted.notified("a", Order(2, 2, 0.25, from_s=4.0), BEGAN_S + 4.0)
    assert uncounted.unreported_duplicates("a") == 0  # it may not know of the second order: asked elsewhere
    uncounted.applied("a", 2, BEGAN_S + 7.0)
    # It learned of the second order by then, 3 s late: half of the 20 a second were its own.
    assert uncounted.unreported_duplicates("a") == 3 * 20 / 2 + 1
    uncounted.reported("a", 0, ended=90, user_seconds=8.0, until_s=BEGAN_S + 8.0, in_flight=2)
    assert uncounted.unreported_duplicates("a") == 0


def test_a_worker_that_has_no_users_any_more_still_sends_what_has_waited() -> None:
    uncounted = Uncounted(OPEN, drop_after_s=2.0, began_s=BEGAN_S)
    uncounted.notified("a", Order(1, 2, 0.5, 0.0, (0,)), BEGAN_S)
    uncounted.notified("a", Order(2, 0, 0.0, from_s=4.0), BEGAN_S + 3.6)
    uncounted.applied("a", 2, BEGAN_S + 3.7)
    uncounted.reported("a", 0, ended=20, user_seconds=9.0, until_s=BEGAN_S + 5.0, in_flight=2)
    # Those between 3 s and 4 s may have waited for up to 2 s; half of 20 were its own.
    assert uncounted.bound("a", BEGAN_S + 5.0) >= 10 + 2
    uncounted.reported("a", 1, ended=10, user_seconds=0.0, until_s=BEGAN_S + 6.1, in_flight=1)
    assert uncounted.bound("a", BEGAN_S + 9.0) == 1  # all of its own were dropped by now


@settings(max_examples=80, deadline=None)
@given(users=st.lists(st.integers(1, 40), min_size=2, max_size=6), first=st.integers(0, 500), more=st.integers(0, 500))
def test_no_stretch_of_arrivals_holds_more_of_a_worker_than_is_said(users: list[int], first: int, more: int) -> None:
    for indexes, count in divide({f"w{number}": one for number, one in enumerate(users)}).values():
        own = sum(number % count in indexes for number in range(first, first + more))
        share = len(indexes) / count
        assert own <= more * share + Order(1, 1, share, 0.0, indexes).excess + 1e-9
