"""Users follow the workers: the wanted total is kept, evenly, a step never starts more than the rate allows."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from inference_swarm.cluster.distribution import UserClass, UserDistribution, divide_users

ONE = [UserClass("A")]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 6)),
        st.tuples(st.just("leave"), st.integers(0, 6)),
        st.tuples(st.just("want"), st.integers(0, 60)),
        st.tuples(st.just("steps"), st.integers(0, 5)),
    ),
    max_size=30,
)


def counts(distribution: UserDistribution) -> dict[str, int]:
    return {worker: sum(distribution.users_of(worker).values()) for worker in distribution.workers}


def settle(distribution: UserDistribution, limit: int = 1000) -> int:
    steps = 0
    while not distribution.is_settled:
        distribution.step(limit)
        steps += 1
        assert steps < 1000
    return steps


def test_users_are_kept_when_workers_go_one_after_the_other_and_come_back() -> None:
    distribution = UserDistribution(ONE)
    for number in range(4):
        distribution.add_worker(f"w{number}")
    distribution.want(12)
    settle(distribution)
    seen = [counts(distribution)]
    for number in (3, 2, 1):
        distribution.remove_worker(f"w{number}")
        settle(distribution)
        seen.append(counts(distribution))
    for number in (1, 2, 3):
        distribution.add_worker(f"w{number}")
    settle(distribution)
    assert [sum(users.values()) for users in seen] == [12, 12, 12, 12]
    assert seen[3] == {"w0": 12}
    assert counts(distribution) == {"w0": 3, "w1": 3, "w2": 3, "w3": 3}


def test_a_ramp_starts_no_more_users_at_once_than_allowed() -> None:
    distribution = UserDistribution(ONE)
    distribution.add_worker("w0")
    distribution.add_worker("w1")
    distribution.want(25)
    totals = []
    while not distribution.is_settled:
        distribution.step(10)
        totals.append(distribution.user_count)
    assert totals == [10, 20, 25]


def test_a_joiner_takes_users_from_others_at_the_rate_and_no_more_than_its_part() -> None:
    distribution = UserDistribution(ONE)
    distribution.add_worker("w0")
    distribution.want(20)
    settle(distribution)
    distribution.add_worker("w1")
    seen = []
    while not distribution.is_settled:
        distribution.step(4)
        seen.append(counts(distribution))
    assert seen == [{"w0": 16, "w1": 4}, {"w0": 12, "w1": 8}, {"w0": 10, "w1": 10}]


def test_a_worker_is_told_its_number_even_when_that_is_none() -> None:
    distribution = UserDistribution(ONE)
    distribution.add_worker("w0")
    distribution.add_worker("w1")
    distribution.want(1)
    assert not distribution.is_settled
    assert distribution.step(10) == {"w0", "w1"}
    assert distribution.is_settled


def test_classes_share_by_weight_after_those_of_a_fixed_count() -> None:
    classes = [UserClass("A", 1), UserClass("B", 3), UserClass("C", 1, fixed_count=2)]
    assert divide_users(10, classes) == {"A": 2, "B": 6, "C": 2}
    assert divide_users(1, classes) == {"A": 0, "B": 0, "C": 1}
    distribution = UserDistribution(classes)
    distribution.add_worker("w0")
    distribution.want(10)
    distribution.step(2)
    assert distribution.users_of("w0") == {"A": 0, "B": 0, "C": 2}


def test_other_classes_take_the_place_of_the_former() -> None:
    distribution = UserDistribution([UserClass("A")])
    distribution.add_worker("w0")
    distribution.want(4)
    settle(distribution)
    distribution.want(4, [UserClass("B")])
    settle(distribution, 1)
    assert distribution.users_of("w0") == {"A": 0, "B": 4}


def large(workers: int, users: int, classes: list[UserClass] = ONE) -> UserDistribution:
    distribution = UserDistribution(classes)
    for number in range(workers):
        distribution.add_worker(f"w{number}")
    distribution.want(users)
    return distribution


def test_a_step_of_a_large_swarm_changes_few_workers_and_a_ramp_still_ends_evenly() -> None:
    distribution = large(1000, 100_000)
    distribution.step(1)  # every worker is told its number once
    changed, steps = [], 0
    while not distribution.is_settled:
        before = distribution.user_count
        changed.append(len(distribution.step(5000)))
        assert distribution.user_count - before <= 5000
        steps += 1
    assert steps == 20
    assert max(changed) <= 60
    assert set(counts(distribution).values()) == {100}


def test_the_users_of_a_lost_worker_go_to_few_others_and_a_joiner_takes_them_from_few() -> None:
    distribution = large(1000, 500_000)
    settle(distribution, 5000)
    distribution.remove_worker("w7")
    assert len(distribution.step(5000)) <= 50
    assert distribution.is_settled
    distribution.add_worker("w7")
    assert len(distribution.step(5000)) <= 50
    assert distribution.is_settled
    assert sum(counts(distribution).values()) == 500_000
    assert max(counts(distribution).values()) - min(counts(distribution).values()) <= 25  # 5 % of 500


def test_each_worker_of_a_large_swarm_has_its_part_of_every_class() -> None:
    distribution = large(300, 30_000, [UserClass("A", 3), UserClass("B", 1), UserClass("C", 1, fixed_count=300)])
    settle(distribution, 5000)
    for worker in distribution.workers:
        users = distribution.users_of(worker)
        assert sum(users.values()) == 100
        assert abs(users["A"] - 3 * users["B"]) <= 4 or users["C"] > 1  # those of a fixed count come first, together


def test_a_large_swarm_stops_users_a_step_at_a_time_too() -> None:
    distribution = large(1000, 100_000)
    settle(distribution, 5000)
    distribution.want(50_000)
    assert settle(distribution, 5000) == 10
    assert set(counts(distribution).values()) == {50}


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.integers(1, 7))
def test_any_history_ends_with_the_wanted_users_spread_evenly(events: list[tuple[str, int]], limit: int) -> None:
    distribution = UserDistribution([UserClass("A", 2), UserClass("B", 1)])
    told: dict[str, dict[str, int]] = {}
    wanted = 0
    for event, number in events:
        if event == "join":
            distribution.add_worker(f"w{number}")
        elif event == "leave":
            distribution.remove_worker(f"w{number}")
            told.pop(f"w{number}", None)
        elif event == "want":
            wanted = number
            distribution.want(number)
        else:
            for _ in range(number):
                before = distribution.user_count
                for worker in distribution.step(limit):
                    told[worker] = dict(distribution.users_of(worker))
                assert abs(distribution.user_count - before) <= limit
    while not distribution.is_settled:
        for worker in distribution.step(limit):
            told[worker] = dict(distribution.users_of(worker))
    if distribution.workers:
        assert distribution.user_count == wanted
        assert max(counts(distribution).values()) - min(counts(distribution).values()) <= 1
        assert told == {worker: dict(distribution.users_of(worker)) for worker in distribution.workers}
