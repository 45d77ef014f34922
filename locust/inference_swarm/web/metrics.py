"""The swarm for Prometheus: a state in, the exposition text out. docs/web-ui.md lists all metrics.

Counters are those of the run under way or of the last one and restart with each run, which Prometheus takes as a
reset. Labels are `name` (of a request), `kind` (of an error) and `worker`, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from inference_swarm.config.documents import ReadDocument
from inference_swarm.judge.evaluate import ObjectiveOutcome
from inference_swarm.judge.self_check import is_generator_bottleneck
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.histogram import Histogram, bucket_of_ns
from inference_swarm.web.answer_families import answer_families
from inference_swarm.web.state import RunState, SwarmState
from inference_swarm.web.worker_rows import WorkerState

# Twelve a decade from 100 µs to 10 s: a quantile that Prometheus interpolates is never off by more than one such step.
_STEPS = (10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82)
BUCKETS_US: tuple[int, ...] = (*(step * 10**decade for decade in range(1, 6) for step in _STEPS), 10_000_000)
WIDEST_STEP = max(high / low for low, high in pairwise(BUCKETS_US))
_BUCKET_PLACES = bucket_of_ns(np.array(BUCKETS_US, dtype=np.int64) * 1000)
_BUCKET_NAMES = [floatToGoString(bucket_us / 1e6) for bucket_us in BUCKETS_US]  # type: ignore[no-untyped-call]


def expose(swarm: SwarmState, accept: str) -> tuple[bytes, str]:
    """The metrics and their content type, in the newest format that `accept` allows."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_States(swarm))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _States:
    """Collector of one state."""

    def __init__(self, swarm: SwarmState) -> None:
        self._swarm = swarm

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        swarm = self._swarm
        yield _gauge("swarm_users", "Users that run now.", swarm.users)
        yield _gauge("swarm_users_wanted", "Users that were asked for.", swarm.users_wanted)
        yield _gauge(
            "swarm_users_draining", "Users that are stopping while others run in their place.", swarm.users_draining
        )
        yield _gauge(
            "swarm_rate_achieved", "Requests that end per second, by the workers' last reports.", swarm.rate_rps
        )
        yield _gauge(
            "swarm_rows_rate_achieved", "Rows of these requests per second, by the same reports.", swarm.rows_per_s
        )
        yield _gauge("swarm_workers", "Workers that are connected.", len(swarm.workers))
        yield from _worker_metrics(swarm.workers)
        if swarm.run is not None:
            yield from _run_metrics(swarm.run)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _worker_metrics(workers: Iterable[WorkerState]) -> Iterator[Metric]:
    metrics: list[tuple[str, str, Callable[[WorkerState], float | None]]] = [
        ("swarm_worker_users", "Users of a worker.", lambda worker: worker.users),
        ("swarm_worker_rate", "Requests of a worker that end per second.", lambda worker: worker.rate_rps),
        ("swarm_worker_rows_rate", "Rows of these requests per second.", lambda worker: worker.rows_per_s),
        ("swarm_worker_cpu_ratio", "CPU of a worker, 1 being a core.", lambda worker: worker.cpu_percent / 100),
        ("swarm_worker_memory_bytes", "Resident memory of a worker.", lambda worker: worker.memory_bytes),
        (
            "swarm_worker_loop_lag_seconds",
            "How late a worker's event loop was, p99 of its last report.",
            lambda worker: _seconds(worker.health.loop_lag_p99_ms),
        ),
        (
            "swarm_worker_scheduling_lag_seconds",
            "How late a worker sent requests of an open load, p99 of its last report.",
            lambda worker: _seconds(worker.health.scheduling_lag_p99_ms),
        ),
        ("swarm_shard_rows", "Rows of a worker's shard.", lambda worker: worker.shard.rows if worker.shard else None),
        (
            "swarm_shard_blocks",
            "Blocks that a worker owns.",
            lambda worker: worker.shard.blocks if worker.shard else None,
        ),
        (
            "swarm_shard_ready",
            "1 when all that a worker is to hold is in memory.",
            lambda worker: worker.shard.is_ready if worker.shard else None,
        ),
    ]
    known = list(workers)
    for name, words, metric in metrics:
        family = GaugeMetricFamily(name, words, labels=["worker"])
        for worker in known:
            value = metric(worker)
            if value is not None:
                family.add_metric([worker.id], value)
        yield family


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _capacity_metrics(run: RunState) -> Iterator[Metric]:
    capacity = run.capacity
    if capacity is None:
        return
    for name, words, value in (
        ("swarm_capacity_found", "1 when a search has found its capacity.", float(capacity["outcome"] == "found")),
        ("swarm_capacity_load", "The load that was confirmed: requests per second, or users.", capacity["load"]),
        ("swarm_capacity_low", "The highest load that is met so far.", capacity["low"]),
        ("swarm_capacity_high", "The lowest load above it that is missed so far.", capacity["high"]),
        ("swarm_capacity_step_load", "The load of the step under way.", _last_load(capacity)),
    ):
        if value is not None:
            yield _gauge(name, words, value)


def _last_load(capacity: ReadDocument) -> float | None:
    return capacity["steps"][-1]["load"] if capacity["steps"] else None


def _run_metrics(run: RunState) -> Iterator[Metric]:
    yield _gauge("swarm_run_start_timestamp_seconds", "When the run began, in Unix time.", run.started_unix_s)
    yield _gauge("swarm_run_duration_seconds", "Measured time so far.", run.duration_s)
    yield _gauge(
        "swarm_verdict",
        "Exit code that the run has, or would have now: 0 passed, 1 requests failed, 3 objective missed, "
        "4 incomplete, 5 target unreachable.",
        run.verdict.exit_code,
    )
    yield from _capacity_metrics(run)
    results = run.verdict.results
    missed = sum(result.outcome is ObjectiveOutcome.FAILED for result in results)
    yield _gauge("swarm_objectives", "Objectives of the run.", len(results))
    yield _gauge("swarm_objectives_missed", "Objectives that are not met.", missed)
    is_bound = is_generator_bottleneck(run.warnings)
    yield _gauge("swarm_generator_bound", "1 when it is the load generator that is measured.", is_bound)
    if run.rate_wanted_rps is not None:
        yield _gauge("swarm_rate_wanted", "Requests per second that an open load asks for.", run.rate_wanted_rps)
    yield _counter("swarm_stale_reports", "Reports of other runs, not counted.", run.stale_reports)
    yield _counter("swarm_duplicate_reports", "Reports that came twice, counted once.", run.duplicates)
    yield from _request_metrics(run.names)
    yield from answer_families(run.names)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(name, words, value=value)


def _request_metrics(names: Mapping[str, RequestCounters]) -> Iterator[Metric]:
    metrics: tuple[tuple[str, str, Callable[[RequestCounters], float]], ...] = (
        ("swarm_requests", "Requests that ended, failed ones included.", lambda counters: counters.ended),
        ("swarm_requests_sent", "Requests that were sent, abandoned ones included.", lambda counters: counters.sent),
        ("swarm_rows", "Rows of the requests that ended.", lambda counters: counters.rows),
        ("swarm_succeeded", "Requests that succeeded.", lambda counters: counters.succeeded),
        (
            "swarm_abandoned",
            "Requests in flight when their user was stopped for good.",
            lambda counters: counters.abandoned,
        ),
        ("swarm_late", "Requests of an open load that were sent late.", lambda counters: counters.late),
        ("swarm_dropped", "Requests of an open load that were never sent.", lambda counters: counters.dropped),
        ("swarm_response_bytes", "Bytes of response bodies.", lambda counters: counters.response_bytes),
        (
            "swarm_stale_connections",
            "Requests sent again because the server had closed the idle connection.",
            lambda counters: counters.stale_connections,
        ),
        ("swarm_connects", "Connections opened.", lambda counters: counters.connects),
    )
    for name, words, metric in metrics:
        counter = CounterMetricFamily(name, words, labels=["name"])
        for request, counters in names.items():
            counter.add_metric([request], metric(counters))
        yield counter
    failures = CounterMetricFamily("swarm_failures", "Failed requests.", labels=["name", "kind"])
    for request, counters in names.items():
        for kind, count in counters.failed_by_kind.items():
            failures.add_metric([request, kind], count)
    yield failures
    times: tuple[tuple[str, str, Callable[[RequestCounters], Histogram]], ...] = (
        (
            "swarm_latency_seconds",
            "From the intended instant to the end, of successes.",
            lambda counters: counters.latency,
        ),
        ("swarm_service_seconds", "From the send to the end, of successes.", lambda counters: counters.service),
        (
            "swarm_failed_latency_seconds",
            "From the intended instant to the end, of failures.",
            lambda counters: counters.failed_latency,
        ),
    )
    for name, words, which in times:
        family = HistogramMetricFamily(name, words, labels=["name"])
        for request, counters in names.items():
            histogram = which(counters)
            family.add_metric([request], _buckets(histogram), histogram.sum_us / 1e6)
        yield family


def _buckets(histogram: Histogram) -> list[Any]:
    """Cumulative counts; a boundary takes in its whole HDR bucket, which is 0.1 % wide at most."""
    cumulative = np.cumsum(histogram.counts)
    counts = cumulative[_BUCKET_PLACES].tolist()
    return [*zip(_BUCKET_NAMES, counts, strict=True), ("+Inf", histogram.count)]
