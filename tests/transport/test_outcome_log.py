"""The log gives every attempt away exactly once, with its instants and its bytes."""

from __future__ import annotations

from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.outcome_log import OutcomeLog


def test_a_batch_holds_what_was_noted_and_leaves_nothing_behind() -> None:
    log = OutcomeLog()
    log.set_common_body(10)
    for sent, done in ((100, 150), (200, 260)):
        log.common_sent.append(sent)
        log.common_done.append(done)
    log.set_common_body(7)
    log.common_sent.append(300)
    log.common_done.append(301)
    log.add_success(intended_ns=400, sent_ns=450, done_ns=500, body_bytes=1000)
    failure = Outcome(500, 510, 0, 600, 5, 0, 0, 0, AttemptError(ErrorKind.RECEIVE, "reset"))
    log.add(failure)

    batch = log.take_batch()
    assert batch.done_ns.tolist() == [150, 260, 301, 500]
    assert batch.service_ns.tolist() == [50, 60, 1, 50]
    assert batch.latency_ns.tolist() == [50, 60, 1, 100]
    assert batch.body_bytes == 10 + 10 + 7 + 1000
    assert batch.failures == [failure]
    assert log.attempt_count == 5
    assert log.failure_counts == {ErrorKind.RECEIVE: 1}

    empty = log.take_batch()
    assert empty.success_count == 0
    assert empty.failures == []
    assert empty.body_bytes == 0
    note = log.common_sent.append  # still the same array: the hot path keeps its bound method
    note(700)
    log.common_done.append(709)
    later = log.take_batch()
    assert later.latency_ns.tolist() == [9]
    assert later.body_bytes == 7


def test_an_attempt_that_was_never_sent_serves_from_its_intended_instant() -> None:
    outcome = Outcome(500, 0, 0, 650, 0, 0, 0, 0, AttemptError(ErrorKind.CONNECT, "Connection refused"))
    assert (outcome.latency_ns, outcome.service_ns) == (150, 150)
    assert repr(outcome.error) == "connect: Connection refused"
