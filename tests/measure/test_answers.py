"""Answers from a worker's users to the master's totals: each counted where its request is, exactly, and once."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.data.truth import RowTruth
from inference_swarm.errors import ProtocolError
from inference_swarm.export.answers import answer_metrics, answer_sentences
from inference_swarm.load.answer_log import Judged, RightAnswers, WrongAnswer
from inference_swarm.measure.answers import MAX_EXAMPLES, AnswerCounters
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.phases import Phases
from inference_swarm.measure.recorded import RecordedAnswers, pack_recorded, recorded_answers, unpack_recorded
from inference_swarm.measure.recorder import RunRecorder
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.measure.totals import SwarmTotals

S = 1_000_000_000


def judged(at_s: float, row: int, prediction: Any, label: Any = 1, late_s: float = 0.0, **more: Any) -> Judged:
    at_ns = round(at_s * S)
    truths = [RowTruth(label, None)]
    return Judged(at_ns - round(late_s * S), at_ns, at_ns + S // 100, (row,), truths, [prediction], **more)


def settings_of(**changes: Any) -> Settings:
    return Settings(**{**{option.name: option.default for option in OPTIONS}, **changes})


def wrong(row: int, other_row: int | None = None) -> WrongAnswer:
    return WrongAnswer(row, "1", "0", b'{"id":%d}' % row, True, other_row)


def counters_of(*seen: Judged, late_after_ns: int | None = None) -> AnswerCounters:
    counters = AnswerCounters()
    counters.add_judged(seen, 0, late_after_ns)
    return counters


def test_right_late_and_failed_answers_are_counted_apart_and_together() -> None:
    counters = counters_of(
        judged(1, 0, 1),
        judged(2, 1, 0, late_s=0.5),
        judged(3, 2, 0, wrong=(wrong(2, 7),), is_failure=True),
        judged(4, 3, 1, wrong=(), is_failure=False),
        Judged(0, 0, 1, (4,), [RowTruth(1, None)], None, is_failure=True),
        late_after_ns=S // 100,
    )
    assert (counters.requests, counters.rows, counters.unreadable) == (5, 5, 1)
    assert (counters.wrong, counters.examined, counters.swapped) == (1, 1, 1)
    assert [part.accuracy for part in (counters.served, counters.late, counters.failed)] == [1.0, 0.0, 0.0]
    assert (counters.quality.accuracy, counters.quality.labelled) == (0.5, 4)
    (example,) = counters.examples
    assert (example.at_s, example.row, example.other_row, example.latency_us) == (3.01, 2, 7, 10_000)
    assert (example.expected, example.got, example.body) == ("1", "0", '{"id":2}')


def test_rows_without_a_recorded_answer_add_up_and_are_said() -> None:
    right = RightAnswers()
    for place in range(3):
        for values, value in (
            (right.sent_ns, 1),
            (right.done_ns, 2),
            (right.row_counts, 2),
            (right.unknown_counts, place),
        ):
            values.append(value)
    counters = AnswerCounters()
    counters.add_seen([judged(1, 0, 1, unknown=1)], right, 0, None)
    total = RequestCounters(answers=AnswerCounters())
    for _ in range(2):
        total.count_answers().add(counters)
    found = answer_metrics(total, settings_of(expect_answers="a.parquet"))
    assert found is not None
    assert (found["rows"], found["unknown"], found["wrong"]) == (14, 8, 0)
    assert answer_sentences(found)[0] == (
        "14 answers looked at (8 of them could not be compared), each of the others the same as the recorded one"
    )


def test_a_recording_says_what_it_recorded() -> None:
    total = RequestCounters(answers=counters_of(judged(1, 0, 1, label=None), judged(2, 1, 1, label=None)))
    found = answer_metrics(total, settings_of(record_answers="a.parquet"))
    assert found is not None
    assert answer_sentences(found) == ["2 of 2 answers were read for the recording"]


def test_the_first_wrong_answers_of_all_workers_are_kept() -> None:
    parts = [
        counters_of(*(judged(10 * place + worker, place, 0, wrong=(wrong(place),)) for place in range(8)))
        for worker in (3, 1, 2)
    ]
    total = AnswerCounters()
    for part in parts:
        total.add(part)
    assert total.wrong == 24
    assert len(total.examples) == MAX_EXAMPLES
    assert [round(one.at_s) for one in total.examples] == [1, 2, 3, 11, 12, 13, 21, 22, 23, 31]


def test_answers_are_counted_in_the_epoch_and_stage_of_their_requests_and_travel() -> None:
    recorder = RunRecorder("run", "w", 0, phases=Phases((2 * S,), (3 * S,)))
    recorder.add_answers("POST /", [judged(1, 0, 0), judged(2.5, 1, 1), judged(3.2, 2, 0), judged(3.3, 2, 1)])
    wire = msgpack.unpackb(msgpack.packb(recorder.take_snapshot(4 * S, 1).to_wire()))
    totals = SwarmTotals("run", epoch=1, epoch_start_s=2.0, is_staged=True)
    totals.apply(Snapshot.from_wire(wire))
    totals = SwarmTotals.from_state(msgpack.unpackb(msgpack.packb(totals.to_state()), strict_map_key=False))
    answers = totals.total().answers
    assert answers is not None
    assert (answers.rows, answers.quality.accuracy) == (3, 2 / 3)
    by_stage = {stage: names["POST /"].answers for stage, names in totals.stages.items()}
    assert {stage: found and found.quality.accuracy for stage, found in by_stage.items()} == {0: 1.0, 1: 0.5}
    left_out = totals.left_out["POST /"].answers
    assert left_out is not None
    assert left_out.quality.accuracy == 0.0


def right_of(*seen: tuple[float, Any, Any]) -> RightAnswers:
    """(second, label, prediction) of each."""
    right = RightAnswers()
    for at_s, label, prediction in seen:
        right.sent_ns.append(round(at_s * S))
        right.done_ns.append(round(at_s * S) + S // 100)
        right.row_counts.append(1)
        right.truths.append((RowTruth(label, None),))
        right.predictions.append([prediction])
    return right


def test_right_answers_are_counted_as_others_are_in_one_place_or_in_many() -> None:
    seen = [(0.1 * number, number % 2, int(number % 3 == 0)) for number in range(90)]
    by_one, by_many = (RunRecorder("run", "w", 0, phases=Phases((2 * S,), (3 * S, 5 * S))) for _ in range(2))
    by_one.add_answers("POST /", [judged(at_s, 0, prediction, label) for at_s, label, prediction in seen])
    by_many.add_answers("POST /", [], right_of(*seen[:15]).take())
    by_many.add_answers("POST /", [], right_of(*seen[15:]))
    slices = [recorder.take_snapshot(9 * S, 1).slices for recorder in (by_one, by_many)]
    found = [[(part.start_s, part.epoch, part.stage, part.names["POST /"].answers) for part in of] for of in slices]
    assert len(found[0]) > 4
    assert found[0] == found[1]
    assert sum(answers.rows for *_, answers in found[1] if answers is not None) == 90


def test_without_anybody_who_looks_there_are_no_counters() -> None:
    recorder = RunRecorder("run", "w", 0)
    recorder.add_connects("POST /", 1, S)
    assert recorder.take_snapshot(S, 1).names()["POST /"].answers is None


@pytest.mark.parametrize("answers", [[], [(3, 0.1), (0, [0.25, 0.75]), (2, {"a": "é"}), (1, None)]])
def test_recorded_answers_travel(answers: list[tuple[int, Any]]) -> None:
    assert unpack_recorded(pack_recorded(answers)) == answers


@pytest.mark.parametrize("packed", [b"x", b"\0" * 8 + b"abc", (1 << 40).to_bytes(8, "little") + b"abc"])
def test_recorded_answers_that_cannot_be_read_are_an_error_of_the_protocol(packed: bytes) -> None:
    with pytest.raises(ProtocolError, match="recorded answers"):
        unpack_recorded(packed)


def test_the_first_answer_to_a_row_that_was_sent_twice_is_recorded() -> None:
    found = RecordedAnswers(3)
    found.add(pack_recorded(list(recorded_answers([judged(1, 2, 0.5), judged(2, 0, 0.25)]))))
    found.add(pack_recorded([(2, 0.75), (7, 1.0)]))
    assert (found.answers, found.known) == ([0.25, None, 0.5], 2)
