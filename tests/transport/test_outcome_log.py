"""The log gives every attempt away exactly once, with its instants and its bytes, and counts by address."""

from __future__ import annotations

from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.outcome_log import MAX_LANES, OTHER_ADDRESSES, OutcomeLog


def note(log: OutcomeLog, sent_ns: int, done_ns: int, address: str = "a:1") -> None:
    """As the fast path does."""
    log.lane(address).sent_ns.append(sent_ns)
    log.lane(address).done_ns.append(done_ns)


def failure(kind: ErrorKind, address: str = "a:1") -> Outcome:
    return Outcome(500, 510, 0, 600, 5, 0, 0, 0, AttemptError(kind, "reset"), address)


def test_a_batch_holds_what_was_noted_and_leaves_nothing_behind() -> None:
    log = OutcomeLog()
    log.set_common_body(10)
    note(log, 100, 150)
    note(log, 200, 260)
    log.set_common_body(7)
    note(log, 300, 301)
    log.add(Outcome(400, 450, 480, 500, 5, 1100, 1000, 200, address="a:1"))
    failed = failure(ErrorKind.RECEIVE)
    log.add(failed)

    batch = log.take_batch()
    assert batch.done_ns.tolist() == [150, 260, 301, 500]
    assert batch.service_ns.tolist() == [50, 60, 1, 50]
    assert batch.latency_ns.tolist() == [50, 60, 1, 100]
    assert batch.body_bytes == 10 + 10 + 7 + 1000
    assert batch.failures == [failed]
    assert log.attempt_count == 5
    assert log.failure_counts == {ErrorKind.RECEIVE: 1}

    empty = log.take_batch()
    assert empty.success_count == 0
    assert empty.failures == []
    assert empty.body_bytes == 0
    append = log.lane("a:1").sent_ns.append  # still the same array: the fast path keeps its bound method
    append(700)
    log.lane("a:1").done_ns.append(709)
    later = log.take_batch()
    assert later.latency_ns.tolist() == [9]
    assert later.body_bytes == 7


def test_rows_are_those_of_the_log_on_the_fast_path_and_those_of_the_outcome_elsewhere() -> None:
    log = OutcomeLog(32)
    log.add(Outcome(400, 450, 480, 500, 5, 1100, 1000, 200, address="b:1", row_count=7))
    log.add(Outcome(400, 450, 480, 500, 5, 1100, 1000, 200, address="a:1", row_count=32))
    note(log, 100, 150)
    batch = log.take_batch()
    assert batch.row_counts is not None
    assert batch.row_counts.tolist() == [7, 32, 32]
    by_address = {address: of_address.row_counts for address, of_address in batch.successes_by_address()}
    assert {address: list([] if counts is None else counts) for address, counts in by_address.items()} == {
        "b:1": [7],
        "a:1": [32, 32],
    }
    note(log, 100, 150)
    again = log.take_batch()
    assert again.row_counts is not None
    assert again.row_counts.tolist() == [32]


def test_a_body_of_another_length_is_noted_as_its_difference() -> None:
    log = OutcomeLog()
    log.set_common_body(10)
    note(log, 1, 2)
    note(log, 1, 2)
    log.lane("a:1").body_bytes += 13 - 10
    assert log.take_batch().body_bytes == 23


def test_attempts_are_counted_by_address_and_batches_hold_those_of_all() -> None:
    log = OutcomeLog()
    note(log, 0, 1000, "a:1")
    note(log, 0, 3000, "b:1")
    log.add(Outcome(0, 500, 600, 5000, 5, 10, 2, 200, address="b:1"))
    log.add(failure(ErrorKind.TIMEOUT, "b:1"))
    log.add(failure(ErrorKind.RESOLVE, ""))
    batch = log.take_batch()
    assert sorted(batch.latency_ns.tolist()) == [1000, 3000, 5000]
    assert [outcome.address for outcome in batch.failures] == ["b:1", ""]
    by_address = {address: part.latency_ns.tolist() for address, part in batch.successes_by_address()}
    assert by_address == {"a:1": [1000], "b:1": [3000, 5000]}
    services = {address: part.service_ns.tolist() for address, part in batch.successes_by_address()}
    assert services == {"a:1": [1000], "b:1": [3000, 4500]}
    note(log, 0, 7, "b:1")
    assert [(address, part.success_count) for address, part in log.take_batch().successes_by_address()] == [("b:1", 1)]


def test_a_batch_that_knows_no_addresses_is_of_none() -> None:
    log = OutcomeLog()
    batch = log.take_batch()
    assert [(address, part is batch) for address, part in batch.successes_by_address()] == [("", True)]


def test_abandoned_attempts_are_kept_apart_with_the_time_that_they_took_so_far() -> None:
    log = OutcomeLog()
    abandoned = failure(ErrorKind.ABANDONED)
    log.add(abandoned)
    batch = log.take_batch()
    assert (batch.abandoned, batch.failures, batch.success_count) == ([abandoned], [], 0)
    assert abandoned.service_ns == 90
    assert log.abandoned_count == 1
    assert log.take_batch().abandoned == []


def test_stale_connections_of_successes_and_failures_are_counted_once() -> None:
    log = OutcomeLog()
    log.add(Outcome(0, 5, 6, 7, 5, 10, 2, 200, stale_connections=1))
    log.add(Outcome(0, 5, 6, 7, 5, 10, 2, 500, AttemptError(ErrorKind.STATUS, "500"), stale_connections=1))
    assert log.take_batch().stale_connections == 2
    assert log.take_batch().stale_connections == 0


def test_addresses_without_end_share_a_lane() -> None:
    log = OutcomeLog()
    for number in range(MAX_LANES + 10):
        note(log, 0, 1, f"a:{number}")
    counts = {address: part.success_count for address, part in log.take_batch().successes_by_address()}
    assert len(counts) == MAX_LANES + 1
    assert counts.pop(OTHER_ADDRESSES) == 10
    assert set(counts.values()) == {1}


def test_an_attempt_that_was_never_sent_serves_from_its_intended_instant() -> None:
    outcome = Outcome(500, 0, 0, 650, 0, 0, 0, 0, AttemptError(ErrorKind.CONNECT, "Connection refused"))
    assert (outcome.latency_ns, outcome.service_ns) == (150, 150)
    assert repr(outcome.error) == "connect: Connection refused"
