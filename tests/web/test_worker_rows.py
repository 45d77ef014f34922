"""The table of workers as the page gets it: trouble first, sums by host, and never more rows than a person reads."""

from __future__ import annotations

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.web.json_text import json_bytes
from inference_swarm.web.state import SwarmState, state_document
from inference_swarm.web.worker_rows import MAX_HOSTS, MAX_SINGLE, WorkerState, worker_rows


def worker(
    name: str, *, state: str = "running", cpu: float = 10.0, lag: float = 1.0, ready: bool = True
) -> WorkerState:
    shard = RowsState(1, 10, 10 if ready else 4, 100, ready)
    return WorkerState(name, state, 2, 5.0, 6.0, cpu, 7, WorkerHealth(loop_lag_p99_ms=lag), shard)


def test_those_in_trouble_come_first_the_worst_before_the_others() -> None:
    found = worker_rows(
        [
            worker("calm"),
            worker("busy", cpu=90.0),
            worker("late", lag=10.0),
            worker("loading", ready=False),
            worker("gone", state="missing"),
        ]
    )
    assert [row["id"] for row in found] == ["gone", "loading", "late", "busy", "calm"]
    assert [(row["is_late"], row["is_busy"]) for row in found][2:] == [(True, False), (False, True), (False, False)]


def test_sums_of_a_host_and_the_worst_of_it() -> None:
    many = [worker(f"a_{number:08x}", cpu=number / 10, lag=number / 100) for number in range(30)]
    (row,) = worker_rows(many)
    assert (row["id"], row["workers"], row["hosts"], row["state"]) == ("a", 30, 1, "running")
    assert (row["users"], row["rate_rps"], row["rows_per_s"], row["memory_bytes"]) == (60, 150.0, 180.0, 210)
    assert (row["cpu_percent"], row["loop_lag_p99_ms"], row["scheduling_lag_p99_ms"]) == (2.9, 0.29, None)
    assert row["shard"] == {"blocks": 30, "rows": 300, "ready_rows": 300, "ready_bytes": 3000, "is_ready": True}
    (row,) = worker_rows([*many[:29], worker("a_000000ff", state="ready")])
    assert row["state"] == "29 running, 1 ready"


def test_two_thousand_hosts_of_a_worker_each_are_a_page() -> None:
    pods = [worker(f"pod-{number:04d}_{number:08x}") for number in range(2000)]
    found = worker_rows([*pods, *(worker(f"late_{number:08x}", lag=50.0) for number in range(300))])
    assert len(found) == MAX_SINGLE + MAX_HOSTS
    assert [row["id"] for row in found[:2]] == ["late_00000000", "late_00000001"]
    assert found[-1]["hosts"] == 2000 - (MAX_HOSTS - 2)
    assert found[-1]["workers"] == 2000 - (MAX_HOSTS - 2)
    (late,) = [row for row in found if row["id"] == "late"]
    assert (late["workers"], late["is_late"]) == (280, True)
    assert sum(row["workers"] for row in found) == 2300


def test_the_state_of_2000_workers_is_no_larger_than_that_of_50() -> None:
    sizes = []
    for count in (50, 2000):
        workers = [worker(f"pod-{number:04d}_{number:08x}") for number in range(count)]
        document = state_document(SwarmState("running", 2 * count, 2 * count, workers))
        assert document["worker_count"] == count
        sizes.append(len(json_bytes(document)))
    assert sizes[1] < 1.05 * sizes[0]


def test_what_json_lacks_is_null_and_half_a_surrogate_pair_is_escaped() -> None:
    assert json_bytes({"rate": float("nan"), 1: "a"}) == b'{"rate":null,"1":"a"}'
    assert json_bytes({"file": "\udc80"}) == b'{"file": "\\udc80"}'
