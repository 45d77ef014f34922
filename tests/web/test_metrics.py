"""The exposition text: valid in both formats, and the values those of the counters."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from inference_swarm.cluster.run_rows import RowsState
from inference_swarm.judge.verdict import Status, Verdict
from inference_swarm.measure.counters import FailureRecord, RequestCounters
from inference_swarm.measure.snapshot import WorkerHealth
from inference_swarm.web.metrics import BUCKETS_US, WIDEST_STEP, expose
from inference_swarm.web.state import RunState, SwarmState
from inference_swarm.web.worker_rows import WorkerState

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def counters(latencies_us: list[int]) -> RequestCounters:
    made = RequestCounters(len(latencies_us), abandoned=1, late=3, dropped=2, rows=256, connects=4, stale_connections=5)
    made.latency.record_ns(np.array(latencies_us, dtype=np.int64) * 1000)
    made.service.record_ns(np.array(latencies_us, dtype=np.int64) * 500)
    return made


def swarm(names: dict[str, RequestCounters]) -> SwarmState:
    run = RunState(
        run_id="r", name="n", started_unix_s=1000.5, duration_s=10.0, measured_s=10.0, is_over=False, target="t",
        dataset="d",
        model="m", method="",
        api="invocation", load="constant", source="s", rows=7, blocks=2, fingerprint="f", names=names,
        verdict=Verdict(Status.OBJECTIVE_MISSED), rate_wanted_rps=500.0,
    )  # fmt: skip
    health = WorkerHealth(loop_lag_p99_ms=2.5)
    shard = RowsState(blocks=2, rows=7, ready_rows=7, ready_bytes=900, is_ready=True)
    workers = [WorkerState('w "1"\n', "running", 5, 123.5, 3952.0, 80.0, 1 << 20, health, shard)]
    return SwarmState("running", 5, 10, workers, run, users_draining=3)


def samples(families: Iterator[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def text_of(state: SwarmState, accept: str = "") -> str:
    return expose(state, accept)[0].decode()


def test_both_formats_are_read_by_the_parsers_of_the_library_and_say_the_same() -> None:
    state = swarm({"POST /invocation": counters([150, 900, 20_000])})
    body, content_type = expose(state, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert samples(parse_openmetrics(body.decode())) == samples(parse_text(text_of(state)))


def test_values_are_those_of_the_state_in_base_units() -> None:
    made = counters([150, 900, 20_000])
    made.count_failure("timeout: x", FailureRecord("timeout", 5))
    made.failed_latency.record_us(70_000)
    found = samples(parse_text(text_of(swarm({"a": made}))))
    worker = (("worker", 'w "1"\n'),)
    name = (("name", "a"),)
    expected = {
        ("swarm_users", ()): 5, ("swarm_users_wanted", ()): 10, ("swarm_users_draining", ()): 3,
        ("swarm_rate_achieved", ()): 123.5,
        ("swarm_rows_rate_achieved", ()): 3952, ("swarm_worker_rows_rate", worker): 3952,
        ("swarm_rows_total", name): 256, ("swarm_rate_wanted", ()): 500, ("swarm_workers", ()): 1,
        ("swarm_verdict", ()): 3,
        ("swarm_worker_loop_lag_seconds", worker): 0.0025, ("swarm_worker_cpu_ratio", worker): 0.8,
        ("swarm_shard_rows", worker): 7, ("swarm_shard_blocks", worker): 2, ("swarm_shard_ready", worker): 1,
        ("swarm_requests_total", name): 8, ("swarm_requests_sent_total", name): 9, ("swarm_succeeded_total", name): 3,
        ("swarm_abandoned_total", name): 1, ("swarm_stale_connections_total", name): 5, ("swarm_late_total", name): 3,
        ("swarm_dropped_total", name): 2, ("swarm_failures_total", (("kind", "timeout"), ("name", "a"))): 5,
        ("swarm_latency_seconds_count", name): 3, ("swarm_failed_latency_seconds_count", name): 1,
        ("swarm_run_start_timestamp_seconds", ()): 1000.5,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected
    assert "swarm_request_bytes_total" not in {key[0] for key in found}  # nobody counts them
    assert found["swarm_latency_seconds_sum", name] == pytest.approx(0.02105)
    assert found["swarm_service_seconds_sum", name] == pytest.approx(0.010525)


def test_only_the_labels_that_are_promised_occur() -> None:
    labels = {label for _, pairs in samples(parse_text(text_of(swarm({"a": counters([1])})))) for label, _ in pairs}
    assert labels <= {"name", "kind", "worker", "le"}


def test_buckets_go_from_100_us_to_10_s_and_none_is_wider_than_a_quarter() -> None:
    assert (BUCKETS_US[0], BUCKETS_US[-1]) == (100, 10_000_000)
    assert list(BUCKETS_US) == sorted(set(BUCKETS_US))
    assert WIDEST_STEP <= 1.25


@given(st.lists(st.integers(0, 20_000_000), min_size=1, max_size=200))
@settings(deadline=None, max_examples=50)
def test_buckets_count_what_they_should_within_the_resolution_of_the_histogram(latencies_us: list[int]) -> None:
    found = samples(parse_text(text_of(swarm({"a": counters(latencies_us)}))))
    counts = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name == "swarm_latency_seconds_bucket"
    }
    assert counts.pop(math.inf) == len(latencies_us)
    for le_s, counted in counts.items():
        bound_us = le_s * 1e6
        least = sum(latency <= bound_us for latency in latencies_us)
        most = sum(latency <= bound_us * 1.001 + 1 for latency in latencies_us)
        assert least <= counted <= most


def test_without_a_run_there_is_still_something_to_scrape() -> None:
    found = samples(parse_text(text_of(SwarmState("ready", 0, 0, []))))
    assert found == {
        ("swarm_users", ()): 0, ("swarm_users_wanted", ()): 0, ("swarm_users_draining", ()): 0,
        ("swarm_rate_achieved", ()): 0,
        ("swarm_rows_rate_achieved", ()): 0, ("swarm_workers", ()): 0,
    }  # fmt: skip


@pytest.mark.processes
@pytest.mark.needs("promtool", "Debian: prometheus")
def test_promtool_has_nothing_to_say() -> None:
    text = text_of(swarm({"a": counters([150, 900])}))
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_search_for_a_capacity_has_its_load_its_bracket_and_the_step_under_way() -> None:
    state = swarm({})
    assert state.run is not None
    searching = {"outcome": None, "load": None, "low": 380.0, "high": 415.0, "steps": [{"load": 10.0}, {"load": 394.0}]}
    found = {**searching, "outcome": "found", "load": 394.0}
    seen = []
    for capacity in (searching, found):
        text, _ = expose(replace(state, run=replace(state.run, capacity=capacity)), "")
        families = parse_text(text.decode())
        seen.append({key[0]: value for key, value in samples(families).items() if key[0].startswith("swarm_capacity")})
    assert seen[0] == {
        "swarm_capacity_found": 0.0, "swarm_capacity_low": 380.0, "swarm_capacity_high": 415.0,
        "swarm_capacity_step_load": 394.0,
    }  # fmt: skip
    assert (seen[1]["swarm_capacity_found"], seen[1]["swarm_capacity_load"]) == (1.0, 394.0)
    assert b"swarm_capacity" not in expose(state, "")[0]
