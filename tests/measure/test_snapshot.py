from __future__ import annotations

from typing import Any

import msgpack
import pytest

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.snapshot import RequestTally, Snapshot, WorkerHealth


def tally(latencies_us: list[float], failed: dict[str, int] | None = None) -> RequestTally:
    histogram = Histogram()
    histogram.record_ns([round(value * 1000) for value in latencies_us])
    failures = failed or {}
    ended = len(latencies_us)
    return RequestTally(
        sent=ended,
        succeeded=ended - sum(failures.values()),
        failed=failures,
        connects=1,
        latency=histogram,
        service=histogram.copy(),
    )


def snapshot(**changes: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "run_id": "run",
        "worker": "w1",
        "sequence": 3,
        "start_s": 6.0,
        "end_s": 9.0,
        "names": {"POST /invocation": tally([400, 500, 3000], {"timeout": 1})},
        "health": WorkerHealth(loop_lag_max_ms=1.5, cpu_percent=80, open_files=70),
        "users": 10,
    }
    return Snapshot(**(fields | changes))


def test_a_snapshot_survives_msgpack() -> None:
    sent = snapshot(is_final=True)
    assert Snapshot.from_wire(msgpack.loads(msgpack.dumps(sent.to_wire()))) == sent


def test_tallies_add_up() -> None:
    total = tally([400, 500], {"timeout": 1})
    total.add(tally([600], {"timeout": 1}))
    total.add(tally([700, 800], {"status": 2}))
    assert (total.sent, total.succeeded, total.failures, total.ended) == (5, 1, 4, 5)
    assert total.failed == {"timeout": 2, "status": 2}
    assert total.connects == 3
    assert total.latency.percentiles_us([0, 50, 100]) == [400, 600, 800]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 7}, "version 7 from worker 'w1'"),
        ({"run_id": ""}, "run_id: String should have at least 1 character"),
        ({"sequence": -1}, "sequence: Input should be greater than or equal to 0"),
        ({"sequence": "3"}, "sequence: Input should be a valid integer"),
        ({"sequence": True}, "sequence: Input should be a valid integer"),
        ({"end_s": float("nan")}, "end_s: Input should be a finite number"),
        ({"end_s": 1.0}, "ends at 1.0 s and starts at 6.0 s"),
        ({"surprise": 1}, "surprise: Unexpected keyword argument"),
        ({"names": {"a": {"sent": 1.5}}}, "names.a.sent: Input should be a valid integer"),
        ({"names": {"a": {"failed": {"timeout": -2}}}}, "names.a.failed.timeout: Input should be greater"),
        ({"names": {"a": {"latency": 5}}}, "names.a.latency: Value error, a histogram is a int"),
        ({"health": {"cpu_percent": "much"}}, "health.cpu_percent: Input should be a valid number"),
        ({"is_final": 1}, "is_final: Input should be a valid boolean"),
        ({"names": {str(n): {} for n in range(1001)}}, "names: Dictionary should have at most 1000 items"),
    ],
)
def test_a_wire_dict_with_a_bad_field_is_refused_by_the_name_of_the_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Snapshot.from_wire(snapshot().to_wire() | change)


@pytest.mark.parametrize("wire", [None, [], "text", 5])
def test_what_is_no_dict_is_refused(wire: object) -> None:
    with pytest.raises(ProtocolError):
        Snapshot.from_wire(wire)


def test_a_missing_field_is_named() -> None:
    wire = snapshot().to_wire()
    del wire["worker"]
    with pytest.raises(ProtocolError, match="worker: Field required"):
        Snapshot.from_wire(wire)
