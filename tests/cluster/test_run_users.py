"""Users go to workers at the spawn rate; the arrivals of an open load go where the users are."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.protocol import Partition, SetUsers
from inference_swarm.cluster.run_users import CHANGE_LEAD_S, MAX_PARTITION_COUNT, NS_PER_S, RunUsers, divide
from inference_swarm.load.dispatcher import AHEAD_NS

WORKERS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 60), min_size=1)
CLASSES = (UserClass("A"),)


@given(WORKERS)
def test_the_parts_of_all_workers_are_all_arrivals_each_once(users: dict[str, int]) -> None:
    parts = divide(users)
    assert set(parts) == {worker for worker, count in users.items() if count}
    counts = {count for _, count in parts.values()}
    assert len(counts) == (1 if parts else 0)
    indexes = sorted(index for chosen, _ in parts.values() for index in chosen)
    assert indexes == list(range(max(counts, default=0)))
    assert all(list(chosen) == sorted(chosen) for chosen, _ in parts.values())


@given(WORKERS)
def test_few_users_share_arrivals_in_proportion_and_many_equally(users: dict[str, int]) -> None:
    parts, total = divide(users), sum(users.values())
    for worker, (indexes, count) in parts.items():
        if total <= MAX_PARTITION_COUNT:
            assert len(indexes) * total == users[worker] * count
        else:
            assert (len(indexes), count) == (1, len(parts))


@given(WORKERS)
def test_a_workers_arrivals_are_spread_over_the_whole_cycle(users: dict[str, int]) -> None:
    for indexes, count in divide(users).values():
        gaps = [later - earlier for earlier, later in pairwise((*indexes, indexes[0] + count))]
        mean = count / len(indexes)
        # Among the neighbours of one arrival every other worker has at most one more than its share.
        assert max(gaps) <= mean + len(users) + 1


def test_equal_workers_take_turns() -> None:
    assert divide({"a": 5, "b": 5}) == {"a": ((0,), 2), "b": ((1,), 2)}
    assert divide({"a": 2, "b": 1, "c": 0}) == {"a": ((0, 2), 3), "b": ((1,), 3)}
    assert divide({}) == divide({"a": 0}) == {}


def users_of_run(*, is_open: bool, spawn_rate: float = 10.0) -> RunUsers:
    return RunUsers("run", CLASSES, spawn_rate, 100.0, "boot", is_open=is_open)


def said(users: RunUsers, now_s: float) -> dict[str, SetUsers]:
    users.advance(now_s)
    return dict(users.take_messages(now_s))


def test_users_come_at_the_spawn_rate_and_everything_is_said_once() -> None:
    users = users_of_run(is_open=False, spawn_rate=4.0)
    users.set_hosts(["a", "b"], 100.0)
    users.want(6, 4.0, 100.0)
    first = said(users, 100.0)
    assert {worker: message.users for worker, message in first.items()} == {"a": {"A": 2}, "b": {"A": 2}}
    assert first["a"].partition is None
    assert (first["a"].began_ns, first["a"].now_ns, first["a"].boot) == (100 * NS_PER_S, 100 * NS_PER_S, "boot")
    assert said(users, 100.5) == {}
    assert (users.is_settled, users.due_s) == (False, 101.0)
    assert {worker: message.users for worker, message in said(users, 101.0).items()} == {"a": {"A": 3}, "b": {"A": 3}}
    assert (users.is_settled, users.due_s, users.user_count) == (True, None, 6)
    users.repeat("a")
    again = said(users, 105.0)
    assert set(again) == {"a"}
    assert again["a"].users == {"A": 3}
    assert again["a"].generation > first["a"].generation


def test_a_ramp_that_is_steep_beyond_reason_goes_in_steps_that_leave_time_for_others() -> None:
    users = RunUsers("run", [UserClass("A")], 50_000.0, 0.0, "", is_open=False)
    users.want(20_000, 50_000.0, 0.0)
    users.set_hosts(["a", "b"], 0.0)
    users.advance(0.0)
    assert (users.user_count, users.due_s) == (400, 0.008)  # 200 for each worker
    users.advance(0.008)
    assert (users.user_count, users.due_s) == (800, 0.016)
    users.advance(0.020)  # a late step makes no other one late
    assert (users.user_count, users.due_s) == (1200, pytest.approx(0.024))
    users.set_hosts([f"w{number}" for number in range(100)], 1.0)
    users.advance(1.1)
    assert users.user_count == 5000  # of all workers together


def test_workers_that_come_one_after_the_other_are_followed_together() -> None:
    users = RunUsers("run", [UserClass("A")], 50_000.0, 0.0, "", is_open=False)
    users.want(100, 50_000.0, 0.0)
    users.set_hosts(["a"], 0.0)
    said(users, 0.0)
    for number in range(1, 5):
        users.set_hosts(["a", *(f"b{other}" for other in range(number))], 0.01 * number)
        assert users.due_s == pytest.approx(0.1)
    users.advance(0.1)
    assert {worker: sum(message.users.values()) for worker, message in users.take_messages(0.1)} == dict.fromkeys(
        ["a", "b0", "b1", "b2", "b3"], 20
    )


def test_the_users_of_a_worker_that_is_gone_go_to_the_others_and_nothing_is_said_to_it() -> None:
    users = users_of_run(is_open=False)
    users.set_hosts(["a", "b"], 100.0)
    users.want(6, 10.0, 100.0)
    said(users, 100.0)
    users.forget("b")
    users.set_hosts(["a"], 101.0)
    assert {worker: message.users for worker, message in said(users, 101.0).items()} == {"a": {"A": 6}}


def test_a_worker_that_holds_no_rows_any_more_is_told_to_run_nothing() -> None:
    users = users_of_run(is_open=False)
    users.set_hosts(["a", "b"], 100.0)
    users.want(6, 10.0, 100.0)
    said(users, 100.0)
    users.set_hosts(["b"], 101.0)
    told = said(users, 101.0)
    assert (told["a"].users, told["b"].users) == ({}, {"A": 6})


def test_arrivals_are_divided_from_the_beginning_and_change_at_one_instant_ahead_of_what_workers_looked_at() -> None:
    users = users_of_run(is_open=True)
    users.set_hosts(["a", "b"], 99.0)
    users.want(4, 10.0, 99.0)
    first = said(users, 99.0)
    assert {worker: message.partition for worker, message in first.items()} == {
        "a": Partition((0,), 2, 0),
        "b": Partition((1,), 2, 0),
    }
    users.set_hosts(["a", "b", "c"], 130.0)
    users.want(6, 10.0, 130.0)
    second = said(users, 130.0)
    from_ns = round((30.0 + CHANGE_LEAD_S) * NS_PER_S)
    assert {worker: message.partition for worker, message in second.items()} == {
        "a": Partition((0,), 3, from_ns),
        "b": Partition((1,), 3, from_ns),
        "c": Partition((2,), 3, from_ns),
    }
    assert round(CHANGE_LEAD_S * NS_PER_S) > 2 * AHEAD_NS


def test_a_worker_that_leaves_is_told_that_its_arrivals_end_when_those_of_the_others_begin() -> None:
    users = users_of_run(is_open=True)
    users.set_hosts(["a", "b"], 99.0)
    users.want(4, 10.0, 99.0)
    said(users, 99.0)
    users.set_hosts(["b"], 130.0)
    told = said(users, 130.0)
    from_ns = round((30.0 + CHANGE_LEAD_S) * NS_PER_S)
    assert told["a"].partition == Partition((), 0, from_ns)
    assert told["b"].partition == Partition((0,), 1, from_ns)


def test_the_last_worker_that_leaves_sends_the_arrivals_of_an_open_load_until_another_can() -> None:
    users = users_of_run(is_open=True)
    users.set_hosts(["a"], 99.0)
    users.want(2, 10.0, 99.0)
    said(users, 99.0)
    users.set_hosts([], 130.0)
    assert said(users, 130.0) == {}
    users.set_hosts(["b"], 132.0)
    told = said(users, 132.0)
    from_ns = round((32.0 + CHANGE_LEAD_S) * NS_PER_S)
    assert told["a"].partition == Partition((), 0, from_ns)
    assert told["b"].partition == Partition((0,), 1, from_ns)


def test_a_reset_of_the_statistics_is_said_to_everybody_with_its_instant() -> None:
    users = users_of_run(is_open=False)
    users.set_hosts(["a", "b"], 100.0)
    users.want(2, 10.0, 100.0)
    said(users, 100.0)
    users.reset(7.5)
    users.reset(9.0)
    told = said(users, 110.0)
    assert set(told) == {"a", "b"}
    assert told["a"].epochs_ns == (7_500_000_000, 9_000_000_000)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hosts", "want", "forget", "tick"]), st.integers(0, 15), st.sets(st.sampled_from("abcd"))
        ),
        max_size=25,
    )
)  # fmt: skip
@pytest.mark.parametrize("is_open", [True, False])
def test_whoever_was_told_last_runs_all_wanted_users_and_sends_all_arrivals(
    is_open: bool, steps: list[tuple[str, int, set[str]]]
) -> None:
    users, now_s, known, hosts = users_of_run(is_open=is_open), 100.0, {}, {"a"}
    users.set_hosts(hosts, now_s)
    users.want(3, 10.0, now_s)
    for what, number, workers in steps:
        now_s += 0.5
        if what == "want":
            users.want(number, 10.0, now_s)
        elif what == "hosts":
            hosts = workers
            users.set_hosts(sorted(hosts), now_s)
        elif what == "forget":
            for worker in workers:
                users.forget(worker)
                known.pop(worker, None)
            hosts = hosts - workers
            users.set_hosts(sorted(hosts), now_s)
        known.update(said(users, now_s))
    for _ in range(40):
        now_s += 0.5
        known.update(said(users, now_s))
    if not hosts:
        return
    running = {worker: sum(message.users.values()) for worker, message in known.items()}
    assert sum(running.values()) == users.wanted
    assert (
        max(running[worker] for worker in hosts if worker in running) - users.wanted / len(hosts) < 1
        or not users.wanted
    )
    if is_open and users.wanted:
        parts = [message.partition for message in known.values() if message.partition and message.partition.indexes]
        assert len({part.count for part in parts}) == 1
        assert sorted(index for part in parts for index in part.indexes) == list(range(parts[0].count))


def test_a_partition_is_sent_again_until_the_worker_has_confirmed_it() -> None:
    users = RunUsers("run", CLASSES, 100.0, 0.0, "boot", is_open=True)
    users.set_hosts(["a"], 0.0)
    users.want(2, 100.0, 0.0)
    users.advance(0.0)
    (first,) = [message for _, message in users.take_messages(0.0)]
    assert first.earlier == ()
    users.set_hosts(["a", "b"], 1.0)
    users.advance(1.0)
    second = dict(users.take_messages(1.0))["a"]
    assert second.earlier == (first.partition,)
    users.confirm("a", second.generation)
    users.set_hosts(["a"], 2.0)
    users.advance(2.0)
    assert dict(users.take_messages(2.0))["a"].earlier == ()
