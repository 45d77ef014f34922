"""What is seen of answers: which are wrong, which are another row's, and which nobody looks at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from inference_swarm.apis.api import Predictions
from inference_swarm.apis.predictions import reader_of
from inference_swarm.data.orders import RandomFeed, Taken
from inference_swarm.data.packed import Heads, PackedBodies, Requests
from inference_swarm.data.truth import RowTruth
from inference_swarm.load.answer_watch import MAX_ASKED, SWAPPED, WRONG, AnswerWatch, WatchRules
from inference_swarm.load.expectations import Recorded, Remembered

HEAD = b"POST / HTTP/1.1\r\n\r\n"
READ = reader_of(Predictions())


def request_of(*rows: int) -> bytes:
    return HEAD + json.dumps(rows).encode()


def body_of(*predictions: Any) -> bytes:
    return json.dumps(predictions).encode()


def watch_of(expected: Callable[[int], Any], in_flight: int = 4, **rules: Any) -> AnswerWatch:
    return AnswerWatch(
        WatchRules(has_truth=True, has_labels=True, **rules),
        READ,
        Recorded(1e-6),
        truths_of=lambda row: (RowTruth(row % 2, expected(row)),),
        count_in_flight=lambda: in_flight,
    )


def take(watch: AnswerWatch, *rows: int) -> bytes:
    request = request_of(*rows)
    watch.note((rows, request))
    return request


def judge(watch: AnswerWatch, request: bytes, body: bytes, done_ns: int = 5_000) -> str | None:
    """As a connection does: first in the event loop, then, if that is not right, by the user."""
    if id(request) in watch.asked and watch.accepts(request, body, 1_000, done_ns):
        return None
    check = watch.check_of(request, 1_000, 2_000, done_ns)
    problem = None if check is None else check(body, 1)
    watch.forget(request)
    return problem


def test_a_right_answer_is_noted_with_its_row_and_label_and_forgotten() -> None:
    watch = watch_of(lambda row: row / 8)
    assert judge(watch, take(watch, 3), body_of(0.375)) is None
    assert judge(watch, take(watch, 5, 6), body_of(0.625, 0.75), done_ns=6_000) is None
    seen = watch.right.take()
    assert (list(seen.sent_ns), list(seen.done_ns), list(seen.row_counts)) == ([1_000, 1_000], [5_000, 6_000], [1, 2])
    truths = [list(one) for one in seen.truths]
    assert truths == [[RowTruth(1, 0.375)], [RowTruth(1, 0.625), RowTruth(0, 0.75)]]
    assert seen.predictions == [[0.375], [0.625, 0.75]]
    assert (watch.log, watch.asked, len(watch.right)) == ([], {}, 0)


def test_what_is_recorded_is_kept_with_its_rows() -> None:
    watch = AnswerWatch(WatchRules(is_recording=True), READ)
    assert judge(watch, take(watch, 3), body_of(0.375)) is None
    assert [(seen.rows, seen.predictions, seen.done_ns) for seen in watch.log] == [((3,), [0.375], 5_000)]
    assert len(watch.right) == 0


def test_without_labels_right_answers_are_only_counted() -> None:
    watch = AnswerWatch(
        WatchRules(has_truth=True), READ, Recorded(0.0), truths_of=lambda row: (RowTruth(None, row / 8),)
    )
    assert judge(watch, take(watch, 3), body_of(0.375)) is None
    seen = watch.right.take()
    assert (len(seen), seen.truths, seen.predictions) == (1, [], [])


def test_rows_without_a_recorded_answer_are_counted_as_not_compared() -> None:
    watch = watch_of(lambda row: None if row == 3 else row)
    assert judge(watch, take(watch, 3), body_of(7)) is None
    assert judge(watch, take(watch, 3, 4), body_of(7, 4)) is None
    assert judge(watch, take(watch, 4, 3), body_of(5, 7)) == WRONG
    assert (list(watch.right.unknown_counts), [seen.unknown for seen in watch.log]) == ([1, 1], [1])


def test_the_answer_of_a_row_in_flight_is_called_swapped_and_both_rows_are_known() -> None:
    watch = watch_of(lambda row: row / 7)
    first, second = take(watch, 1), take(watch, 2)
    assert judge(watch, first, body_of(2 / 7)) == SWAPPED
    assert judge(watch, second, body_of(1 / 7)) == SWAPPED
    assert [(one.row, one.other_row) for seen in watch.log for one in seen.wrong] == [(1, 2), (2, 1)]
    assert [(one.expected, one.got) for one in watch.log[0].wrong] == [(str(1 / 7), str(2 / 7))]
    assert watch.log[0].wrong[0].body == b"[1]"
    assert watch.find_rows(second) == [2]
    assert watch.find_rows(first) == ()


def test_an_answer_of_nobody_or_of_a_row_that_was_not_in_flight_is_wrong_and_not_swapped() -> None:
    watch = watch_of(lambda row: row / 7, in_flight=2)
    early = take(watch, 50)
    assert judge(watch, early, body_of(50 / 7)) is None
    for row in range(40):
        assert judge(watch, take(watch, row), body_of(row / 7)) is None
    assert judge(watch, take(watch, 41), body_of(-3.0)) == WRONG
    assert judge(watch, take(watch, 42), body_of(50 / 7)) == WRONG
    assert [one.is_examined for seen in watch.log for one in seen.wrong] == [True, True]


def test_a_label_that_many_rows_have_is_no_evidence_of_a_swap() -> None:
    watch = watch_of(lambda row: row % 2)
    for row in range(40):
        take(watch, row)
    assert judge(watch, take(watch, 41), body_of(0)) == WRONG


def test_a_label_that_hardly_any_row_has_is() -> None:
    watch = watch_of(lambda row: int(row == 39))
    for row in range(1000):
        judge(watch, take(watch, row + 100), body_of(0))
    take(watch, 39)
    assert judge(watch, take(watch, 41), body_of(1)) == SWAPPED


def test_rows_of_one_request_that_are_mixed_up_are_swapped() -> None:
    watch = watch_of(lambda row: row / 7)
    request = take(watch, 1, 2, 3, 4)
    assert judge(watch, request, body_of(1 / 7, 3 / 7, 2 / 7, 4 / 7)) == SWAPPED
    assert [(one.row, one.other_row) for one in watch.log[0].wrong] == [(2, 3), (3, 2)]
    assert watch.find_rows(request) == [2, 3]


def test_searching_is_bounded_and_what_was_not_looked_into_is_known() -> None:
    watch = watch_of(lambda row: row / 7)
    for row in range(80):
        take(watch, row)
        assert judge(watch, take(watch, row + 1000), body_of(row / 7)) in (SWAPPED, WRONG)
    examined = [one.is_examined for seen in watch.log for one in seen.wrong]
    assert examined == [True] * 50 + [False] * 30
    take(watch, 5000)
    assert judge(watch, take(watch, 6000), body_of(5000 / 7), done_ns=2_000_000_000) == SWAPPED


@pytest.mark.parametrize("is_strict", [True, False])
def test_a_response_without_predictions_fails_only_where_it_has_to_hold_them(is_strict: bool) -> None:
    watch = watch_of(lambda row: row, is_strict=is_strict)
    problem = judge(watch, take(watch, 1), b'{"detail":"busy"}')
    assert problem == ("an error in place of predictions" if is_strict else None)
    assert [(seen.predictions, seen.is_failure) for seen in watch.log] == [(None, is_strict)]


def test_a_sample_is_drawn_and_the_others_are_not_looked_at() -> None:
    watch = watch_of(lambda row: row, share=0.1, seed=7)
    requests = [take(watch, row) for row in range(10_000)]
    asked = [request for request in requests if id(request) in watch.asked]
    assert 900 < len(asked) < 1100
    other = next(request for request in requests if id(request) not in watch.asked)
    assert judge(watch, other, body_of("nonsense")) is None
    assert watch.log == []


def test_the_partner_of_a_swap_is_found_though_it_is_in_no_sample() -> None:
    watch = watch_of(lambda row: row / 7, share=0.5, seed=1)
    requests = {row: take(watch, row) for row in range(10)}
    sampled = next(row for row, request in requests.items() if id(request) in watch.asked)
    partner = next(
        row for row, request in requests.items() if id(request) not in watch.asked and abs(row - sampled) < 3
    )
    assert judge(watch, requests[sampled], body_of(partner / 7)) == SWAPPED


def feed_of(count: int) -> RandomFeed:
    """Draws requests of one row each, which are numbered from 1,000 on."""
    bodies = PackedBodies.pack([pa.array([json.dumps([1_000 + row]).encode() for row in range(count)])])
    requests = Requests([(1_000, bodies)], Heads(lambda _length: HEAD))
    return RandomFeed(lambda: requests, (1, 2), lambda _count: None)


def test_a_sample_of_draws_is_noted_with_its_rows_when_its_turn_comes() -> None:
    watch, feed = watch_of(lambda row: row / 7, share=0.1, seed=7), feed_of(500)
    unwatched = feed_of(500)
    feed.compose_with(watch.sample_draws())
    asked, others, taken = 0, 0, []
    for _ in range(5_000):
        request = feed.take()
        assert request is not None
        taken.append(json.loads(request.removeprefix(HEAD))[0])
        if id(request) in watch.asked:
            asked += 1
            assert judge(watch, request, body_of(taken[-1] / 7)) is None
            assert watch.asked == {}  # none of those that are still to be taken
        else:
            others += 1
            assert judge(watch, request, b"nonsense") is None
    assert (asked + others, len(watch.right)) == (5_000, asked)
    assert 400 < asked < 600
    assert taken == [json.loads((unwatched.take() or b"").removeprefix(HEAD))[0] for _ in range(5_000)]


@pytest.mark.parametrize("taken_before", [0, 1_020, 1_024, 5_000])
def test_the_partner_of_a_swap_among_draws_is_found_and_none_that_was_not_in_flight(taken_before: int) -> None:
    watch, feed = watch_of(lambda row: row / 7, in_flight=3, share=0.5, seed=1), feed_of(100_000)
    feed.compose_with(watch.sample_draws())
    rows, sampled = [row_of(feed.take()) for _ in range(taken_before)], None
    while sampled is None or len(rows) < 3:
        request = feed.take()
        rows.append(row_of(request))
        sampled = request if request is not None and id(request) in watch.asked else None
    after = row_of(feed.take())
    kept = watch.asked.copy()
    for other in (rows[-2], rows[-3], after):
        watch.asked |= kept
        assert judge(watch, sampled, body_of(other / 7)) == SWAPPED
        assert watch.log[-1].wrong[0].other_row == other
    watch.asked |= kept
    assert judge(watch, sampled, body_of(rows[-4] / 7 if len(rows) > 3 else -1)) == WRONG
    watch.asked |= kept
    upcoming = row_of(feed.take())
    assert judge(watch, sampled, body_of(upcoming / 7)) == SWAPPED  # now it is


def test_draws_that_are_dropped_were_not_taken() -> None:
    watch, feed = watch_of(lambda row: row / 7, in_flight=2, share=0.5, seed=1), feed_of(100_000)
    feed.compose_with(watch.sample_draws())
    before = [row_of(feed.take()) for _ in range(10)]
    feed.forget_drawn()  # rows went to another worker
    request = feed.take()
    while request is None or id(request) not in watch.asked:
        before.append(row_of(request))
        request = feed.take()
    assert judge(watch, request, body_of(before[-1] / 7)) == SWAPPED
    assert watch.log[-1].wrong[0].other_row == before[-1]


def row_of(request: bytes | None) -> int:
    assert request is not None
    return int(json.loads(request.removeprefix(HEAD))[0])


def test_a_request_that_goes_out_with_other_headers_is_the_same_one() -> None:
    watch = watch_of(lambda row: row / 7)
    request, traced = take(watch, 3), b"POST / HTTP/1.1\r\ntraceparent: 1\r\n\r\n[3]"
    watch.sent_as(request, traced)
    assert judge(watch, traced, body_of(0.5)) == WRONG
    assert (watch.log[0].wrong[0].row, watch.asked) == (3, {})
    watch.sent_as(b"somebody else's", traced)
    assert watch.asked == {}


def test_a_request_that_was_never_sent_is_no_longer_known_after_many_others() -> None:
    watch = watch_of(lambda row: row)
    kept = [take(watch, row) for row in range(MAX_ASKED + 5)]
    assert len(watch.asked) == MAX_ASKED
    assert id(kept[0]) not in watch.asked
    watch.forget(kept[-1])
    assert id(kept[-1]) not in watch.asked


def test_a_request_of_somebody_elses_making_is_checked_only_where_all_are() -> None:
    def check(body: bytes, row_count: int) -> str | None:
        return "never good"

    watch = AnswerWatch(WatchRules(), READ, check=check)
    assert watch.check_of(b"mine", 1, 2, 3) is check
    assert AnswerWatch(WatchRules(share=0.5), READ, check=check).check_of(b"mine", 1, 2, 3) is None


def test_consistency_needs_neither_labels_nor_recorded_answers() -> None:
    watch = AnswerWatch(
        WatchRules(wrong_words="another answer than before"), READ, Remembered(1e-6), count_in_flight=lambda: 4
    )
    assert judge(watch, take(watch, 1), body_of(0.25)) is None
    assert judge(watch, take(watch, 1), body_of(0.25)) is None
    assert judge(watch, take(watch, 2), body_of(0.5)) is None
    assert judge(watch, take(watch, 1), body_of(0.75)) == "another answer than before"
    take(watch, 2)
    assert judge(watch, take(watch, 1), body_of(0.5)) == SWAPPED


def test_sources_of_requests_are_noted_as_they_are_taken() -> None:
    watch = watch_of(lambda row: row)
    waiting: list[Taken | None] = [((1,), request_of(1)), None, ((2,), request_of(2))]
    taken = watch.take_of(lambda: waiting.pop(0))
    first = taken()
    assert first is not None
    assert id(first) in watch.asked
    assert taken() is None
    rows, second = watch.take_rows_of(lambda: waiting.pop(0))() or ((), b"")
    assert (rows, id(second) in watch.asked) == ((2,), True)
