from __future__ import annotations

import random

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import (
    MAX_ADDRESSES,
    MAX_FAILURES,
    MAX_NAMES,
    OTHER_FAILURES,
    OTHER_NAMES,
    AddressCounters,
    FailureRecord,
    RequestCounters,
    counters_of,
    merge_counters,
    read_counters,
    write_counters,
)
from inference_swarm.measure.wire_types import MAX_TEXT, cut_text

times = st.integers(0, 10**6).map(float)
records = st.builds(
    FailureRecord,
    kind=st.just("status"),
    count=st.integers(1, 9),
    first_s=times,
    last_s=times,
    status=st.just(503),
    explanation=st.sampled_from(["", "busy", "down"]),
    rows=st.lists(st.integers(0, 5), max_size=2),
    row_count=st.integers(1, 2),
)


@st.composite
def any_counters(draw: st.DrawFn) -> RequestCounters:
    made = RequestCounters(
        succeeded=draw(st.integers(0, 9)),
        abandoned=draw(st.integers(0, 9)),
        dropped=draw(st.integers(0, 9)),
        late=draw(st.integers(0, 9)),
        rows=draw(st.integers(0, 9)),
        rows_after=draw(st.integers(0, 9)),
        stale_connections=draw(st.integers(0, 9)),
    )
    for text, record in draw(st.dictionaries(st.sampled_from("abc"), records)).items():
        made.count_failure(text, record)
    for value_us in draw(st.lists(st.integers(1, 10**6), max_size=3)):
        made.latency.record_us(value_us)
        made.failed_service.record_us(value_us)
    if draw(st.booleans()):
        made.note_span(draw(times), draw(times))
    for address in draw(st.sets(st.sampled_from(["10.0.0.1:80", "10.0.0.2:80"]))):
        made.addresses[address] = AddressCounters(draw(st.integers(0, 9)), draw(st.integers(0, 9)))
    return made


@settings(deadline=None)
@given(st.lists(any_counters(), max_size=6), st.randoms(use_true_random=False))
def test_counters_add_up_to_the_same_in_any_order_and_over_the_wire(
    given_counters: list[RequestCounters], shuffler: random.Random
) -> None:
    total = merge_counters(given_counters)
    shuffled = read_counters(msgpack.loads(msgpack.dumps(write_counters(dict(zip("abcdef", given_counters))))))  # noqa: B905
    values = list(shuffled.values())
    shuffler.shuffle(values)
    assert merge_counters(values) == total
    assert total.sent == sum(one.succeeded + one.failures + one.abandoned for one in given_counters)
    assert total.unserved == sum(one.failures + one.abandoned + one.dropped for one in given_counters)


def test_failures_know_when_they_came_first_and_last_and_keep_an_example_whole() -> None:
    total = RequestCounters()
    total.count_failure("401", FailureRecord("status", 1, 5.0, 5.0, 401, "", []))
    total.count_failure("401", FailureRecord("status", 3, 5.5, 29.0, 401, "token has expired", [42, 43], 2))
    total.count_failure("401", FailureRecord("status", 1, 4.5, 4.5, 401, "token is wrong", [7], 1))
    total.count_failure("401", FailureRecord("status", 1, 12.0, 12.0, 401, "", []))
    assert total.failed == {"401": FailureRecord("status", 6, 4.5, 29.0, 401, "token has expired", [42, 43], 2)}
    assert total.failed_by_kind == {"status": 6}


def test_texts_beyond_the_limit_are_counted_together() -> None:
    total = RequestCounters()
    for number in range(MAX_FAILURES + 5):
        total.count_failure(f"text {number}", FailureRecord("answer", 2))
    assert len(total.failed) == MAX_FAILURES + 1
    assert total.failed[OTHER_FAILURES].count == 10
    assert total.failures == 2 * (MAX_FAILURES + 5)


def test_names_beyond_the_limit_are_counted_together() -> None:
    names: dict[str, RequestCounters] = {}
    for number in range(MAX_NAMES + 5):
        counters_of(names, f"/{number}").succeeded += 1
    assert len(names) == MAX_NAMES + 1
    assert names[OTHER_NAMES].succeeded == 5
    assert len(read_counters(write_counters(names))) == MAX_NAMES + 1


def test_addresses_beyond_the_limit_are_left_out() -> None:
    total = RequestCounters()
    for number in range(MAX_ADDRESSES + 3):
        total.add(RequestCounters(addresses={f"a{number}": AddressCounters(1)}))
    assert sum(one.requests for one in total.addresses.values()) == MAX_ADDRESSES


def test_what_ended_after_the_load_is_in_no_rate() -> None:
    total = RequestCounters(succeeded=10, succeeded_after=4, failed_after=1)
    total.count_failure("timeout", FailureRecord("timeout", 3))
    assert (total.ended, total.ended_in_time, total.succeeded_in_time) == (13, 8, 6)


@pytest.mark.parametrize(
    ("text", "cut"),
    [("short", "short"), ("é" * MAX_TEXT, "é" * MAX_TEXT), ("a\udc80", "a?")],
)
def test_a_text_that_fits_stays_and_can_be_sent(text: str, cut: str) -> None:
    assert cut_text(text) == cut
    msgpack.dumps(cut_text(text))


def test_long_texts_stay_apart_when_they_are_cut() -> None:
    one, other = cut_text("x" * 1000 + "1"), cut_text("x" * 1000 + "2")
    assert one != other
    assert len(one) == len(other) == MAX_TEXT
    assert cut_text(one) == one


def test_counters_that_cannot_be_used_are_named() -> None:
    with pytest.raises(ProtocolError, match=r"a\.late: Input should be a valid integer"):
        read_counters({"a": {"late": "many"}})
