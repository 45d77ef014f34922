"""Users follow the workers: the wanted total is kept, evenly, a step never starts more than the rate allows."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from inference_swarm.cluster.distribution import UserDistribution, UserKind, divide_users

ONE = [UserKind("A")]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 6)),
        st.tuples(st.just("leave"), st.integers(0, 6)),
        st.tuples(st.just("want"), st.integers(0, 60)),
        st.tuples(st.just("steps"), st.integers(0, 5)),
    ),
    max_size=30,
)


def counts(spread: UserDistribution) -> dict[str, int]:
    return {worker: sum(spread.users_of(worker).values()) for worker in spread.workers}


def settle(spread: UserDistribution, limit: int = 1000) -> int:
    steps = 0
    while not spread.is_settled:
        spread.step(limit)
        steps += 1
        assert steps < 1000
    return steps


def test_users_are_kept_when_workers_go_one_after_the_other_and_come_back() -> None:
    spread = UserDistribution(ONE)
    for number in range(4):
        spread.add_worker(f"w{number}")
    spread.want(12)
    settle(spread)
    seen = [counts(spread)]
    for number in (3, 2, 1):
        spread.remove_worker(f"w{number}")
        settle(spread)
        seen.append(counts(spread))
    for number in (1, 2, 3):
        spread.add_worker(f"w{number}")
    settle(spread)
    assert [sum(users.values()) for users in seen] == [12, 12, 12, 12]
    assert seen[3] == {"w0": 12}
    assert counts(spread) == {"w0": 3, "w1": 3, "w2": 3, "w3": 3}


def test_a_ramp_starts_no_more_users_at_once_than_allowed() -> None:
    spread = UserDistribution(ONE)
    spread.add_worker("w0")
    spread.add_worker("w1")
    spread.want(25)
    totals = []
    while not spread.is_settled:
        spread.step(10)
        totals.append(spread.user_count)
    assert totals == [10, 20, 25]


def test_a_joiner_takes_users_from_others_at_the_rate_and_no_more_than_its_part() -> None:
    spread = UserDistribution(ONE)
    spread.add_worker("w0")
    spread.want(20)
    settle(spread)
    spread.add_worker("w1")
    seen = []
    while not spread.is_settled:
        spread.step(4)
        seen.append(counts(spread))
    assert seen == [{"w0": 16, "w1": 4}, {"w0": 12, "w1": 8}, {"w0": 10, "w1": 10}]


def test_a_worker_is_told_its_number_even_when_that_is_none() -> None:
    spread = UserDistribution(ONE)
    spread.add_worker("w0")
    spread.add_worker("w1")
    spread.want(1)
    assert not spread.is_settled
    assert spread.step(10) == {"w0", "w1"}
    assert spread.is_settled


def test_classes_share_by_weight_after_those_of_a_fixed_count() -> None:
    kinds = [UserKind("A", 1), UserKind("B", 3), UserKind("C", 1, fixed_count=2)]
    assert divide_users(10, kinds) == {"A": 2, "B": 6, "C": 2}
    assert divide_users(1, kinds) == {"A": 0, "B": 0, "C": 1}
    spread = UserDistribution(kinds)
    spread.add_worker("w0")
    spread.want(10)
    spread.step(2)
    assert spread.users_of("w0") == {"A": 0, "B": 0, "C": 2}


def test_other_classes_take_the_place_of_the_former() -> None:
    spread = UserDistribution([UserKind("A")])
    spread.add_worker("w0")
    spread.want(4)
    settle(spread)
    spread.want(4, [UserKind("B")])
    settle(spread, 1)
    assert spread.users_of("w0") == {"A": 0, "B": 4}


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.integers(1, 7))
def test_any_history_ends_with_the_wanted_users_spread_evenly(events: list[tuple[str, int]], limit: int) -> None:
    spread = UserDistribution([UserKind("A", 2), UserKind("B", 1)])
    told: dict[str, dict[str, int]] = {}
    wanted = 0
    for event, number in events:
        if event == "join":
            spread.add_worker(f"w{number}")
        elif event == "leave":
            spread.remove_worker(f"w{number}")
            told.pop(f"w{number}", None)
        elif event == "want":
            wanted = number
            spread.want(number)
        else:
            for _ in range(number):
                before = spread.user_count
                for worker in spread.step(limit):
                    told[worker] = dict(spread.users_of(worker))
                assert abs(spread.user_count - before) <= limit
    while not spread.is_settled:
        for worker in spread.step(limit):
            told[worker] = dict(spread.users_of(worker))
    if spread.workers:
        assert spread.user_count == wanted
        assert max(counts(spread).values()) - min(counts(spread).values()) <= 1
        assert told == {worker: dict(spread.users_of(worker)) for worker in spread.workers}
