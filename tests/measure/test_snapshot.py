from __future__ import annotations

from typing import Any

import msgpack
import pytest

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counters import AddressCounters, FailureRecord, RequestCounters
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.seconds import SecondCounts
from inference_swarm.measure.snapshot import Slice, Snapshot, WorkerHealth
from inference_swarm.measure.wire_types import MAX_TEXT

NAME = "POST /invocation"


def counters(*latencies_us: float) -> RequestCounters:
    histogram = Histogram()
    histogram.record_ns([round(value * 1000) for value in latencies_us])
    made = RequestCounters(succeeded=len(latencies_us), connects=1, latency=histogram, service=histogram.copy())
    made.count_failure(
        "status: 503 Service Unavailable", FailureRecord("status", 2, 6.5, 8.5, 503, "too busy", [17, 4], 2)
    )
    made.failed_latency.record_us(300)
    made.failed_latency.record_us(310)
    return made


def snapshot(**changes: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "run_id": "run",
        "worker": "w1",
        "sequence": 3,
        "start_s": 6.0,
        "end_s": 9.0,
        "slices": [Slice(6.0, 7.0, {NAME: counters(400)}), Slice(7.0, 9.0, {NAME: counters(500, 3000)}, epoch=1)],
        "seconds": [SecondCounts(6, 1, 2, 0), SecondCounts(8, 2, 2, 1)],
        "health": WorkerHealth(loop_lag_max_ms=1.5, cpu_percent=80, open_files=70),
        "users": 10,
    }
    return Snapshot(**(fields | changes))


def wire_with(**changes: Any) -> dict[str, Any]:
    wire = snapshot().to_wire()
    wire["slices"][0]["names"] = {"a": changes}
    return wire


def test_a_snapshot_survives_msgpack() -> None:
    sent = snapshot(is_final=True)
    assert Snapshot.from_wire(msgpack.loads(msgpack.dumps(sent.to_wire()))) == sent


def test_an_address_that_only_failed_travels_beside_one_that_succeeded() -> None:
    counted = counters(400, 500)
    counted.count_at("10.0.0.1", AddressCounters(requests=2, latency=counted.latency.copy()))
    counted.count_at("10.0.0.2", AddressCounters(requests=2, failures=2))
    only_failed = RequestCounters(addresses={"10.0.0.2": AddressCounters(requests=1, failures=1)})
    for names in ({NAME: counted}, {NAME: only_failed}):
        sent = snapshot(slices=[Slice(6.0, 7.0, names)])
        assert Snapshot.from_wire(msgpack.loads(msgpack.dumps(sent.to_wire()))) == sent


def test_the_names_of_a_snapshot_are_those_of_all_its_slices() -> None:
    merged = snapshot().names()[NAME]
    assert (merged.succeeded, merged.failures, merged.connects) == (3, 4, 2)
    assert merged.latency.percentiles_us([0, 50, 100]) == [400, 500, 3000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 1}, "version 1 from worker 'w1'"),
        ({"run_id": ""}, "run_id: String should have at least 1 character"),
        ({"sequence": -1}, "sequence: Input should be greater than or equal to 0"),
        ({"sequence": "3"}, "sequence: Input should be a valid integer"),
        ({"sequence": True}, "sequence: Input should be a valid integer"),
        ({"end_s": float("nan")}, "end_s: Input should be a finite number"),
        ({"end_s": 1.0}, "ends at 1.0 s and starts at 6.0 s"),
        ({"surprise": 1}, "surprise: Unexpected keyword argument"),
        ({"seconds": [(1, 2, -3, 0)]}, "seconds.0.2: Input should be greater than or equal to 0"),
        ({"seconds": [(1, 2)] * 2 + [(1.5, 2)]}, "seconds.2.0: Input should be a valid integer"),
        ({"slices": [{"start_s": 3.0, "end_s": 2.0}]}, "ends at 2.0 s and starts at 3.0 s"),
        ({"slices": [{"start_s": 3.0, "end_s": 4.0, "epoch": -1}]}, "slices.0.epoch: Input should be greater"),
        ({"slices": [{"start_s": 3.0, "end_s": 4.0}] * 4001}, "slices: List should have at most 4000 items"),
        ({"health": {"cpu_percent": "much"}}, "health.cpu_percent: Input should be a valid number"),
        ({"is_final": 1}, "is_final: Input should be a valid boolean"),
    ],
)
def test_a_wire_dict_with_a_bad_field_is_refused_by_the_name_of_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Snapshot.from_wire(snapshot().to_wire() | change)


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        ({"succeeded": 1.5}, "slices.0.names.a.succeeded: Input should be a valid integer"),
        ({"abandoned": -1}, "slices.0.names.a.abandoned: Input should be greater"),
        ({"request_bytes": 1}, "slices.0.names.a.request_bytes: Unexpected keyword"),
        ({"failed": {"x": {"kind": "timeout", "count": -2}}}, "slices.0.names.a.failed.x.count: Input should be"),
        ({"latency": 5}, "slices.0.names.a.latency: Value error, histogram '5' of 3"),
        ({"latency": -1}, "slices.0.names.a.latency: Value error, histogram '-1' of 3"),
        ({"latency": True}, "slices.0.names.a.latency: Value error, histogram 'True' of 3"),
        ({"latency": Histogram().to_wire()}, "slices.0.names.a.latency: Value error, histogram .* of 3"),
        ({"first_intended_s": float("inf")}, "slices.0.names.a.first_intended_s: Input should be a finite"),
    ],
)
def test_bad_counters_are_refused_by_the_name_of_the_field(counted: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Snapshot.from_wire(wire_with(**counted))


def test_long_texts_are_cut_and_the_report_counts() -> None:
    error, path = "x" * 70_000, "/" + "p" * 5000
    wire = snapshot().to_wire()
    wire["slices"][0]["names"] = {
        path + "1": {"succeeded": 1, "failed": {error: {"kind": "answer", "count": 3, "explanation": error}}},
        path + "2": {"succeeded": 2},
    }
    names = Snapshot.from_wire(wire).slices[0].names
    assert sorted(one.succeeded for one in names.values()) == [1, 2]
    assert all(len(name) == MAX_TEXT and name.startswith("/ppp") for name in names)
    (record,) = next(one for one in names.values() if one.failed).failed.values()
    assert (record.count, len(record.explanation)) == (3, MAX_TEXT)


def test_more_names_than_are_kept_apart_are_refused() -> None:
    wire = snapshot().to_wire()
    wire["slices"][0]["names"] = {str(number): {} for number in range(1002)}
    with pytest.raises(ProtocolError, match=r"slices\.0\.names: Dictionary should have at most 1001 items"):
        Snapshot.from_wire(wire)


def test_counters_travel_without_what_is_not_counted_and_equal_histograms_once() -> None:
    first = snapshot().to_wire()["slices"][0]["names"][NAME]
    assert sorted(first) == ["connects", "failed", "failed_latency", "latency", "service", "succeeded"]
    assert (first["latency"], first["service"], first["failed_latency"]) == (1, 1, 2)
    spanned = RequestCounters(succeeded=1)
    spanned.note_span(0.0, 0.0)
    wire = snapshot(slices=[Slice(0.0, 1.0, {NAME: spanned})]).to_wire()
    assert wire["slices"][0]["names"][NAME] == {"succeeded": 1, "first_intended_s": 0.0, "last_done_s": 0.0}
    assert Snapshot.from_wire(wire).slices[0].names[NAME] == spanned


def test_histograms_of_a_report_that_cannot_be_read_refuse_it() -> None:
    wire = snapshot().to_wire()
    with pytest.raises(ProtocolError, match="histograms are a NoneType"):
        Snapshot.from_wire({name: value for name, value in wire.items() if name != "histograms"})
    with pytest.raises(ProtocolError, match="histograms cannot be unpacked"):
        Snapshot.from_wire(wire | {"histograms": wire["histograms"] | {"packed": b"text"}})


@pytest.mark.parametrize("wire", [None, [], "text", 5])
def test_what_is_no_dict_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError):
        Snapshot.from_wire(wire)


def test_a_missing_field_is_named() -> None:
    wire = snapshot().to_wire()
    del wire["worker"]
    with pytest.raises(ProtocolError, match="worker: Field required"):
        Snapshot.from_wire(wire)
