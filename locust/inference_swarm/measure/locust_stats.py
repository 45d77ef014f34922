"""Adds batches of attempts to Locust's own statistics, with the totals that one call for each would give.

Locust's table, charts, CSV and console then show every attempt, though none was reported to them one by one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import locust.stats
import numpy as np
from locust.stats import RequestStats, StatsEntry, StatsError

from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.outcome_log import Batch, Nanoseconds

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


def wall_offset_ns() -> int:
    """Return what to add to a monotonic instant to get the time of day."""
    return time.time_ns() - time.monotonic_ns()


def fold_into_locust(stats: RequestStats, batch: Batch, *, method: str, name: str, offset_ns: int) -> None:
    """Add successes and failures to the entry of the name and to the total, and failures to the error table."""
    if not batch.success_count and not batch.failures:
        return
    failed_done = np.array([outcome.done_ns for outcome in batch.failures], dtype=np.int64)
    failed_latency = np.array([outcome.latency_ns for outcome in batch.failures], dtype=np.int64)
    done_ns = np.concatenate((batch.done_ns, failed_done)) + offset_ns
    latency_ns = np.sort(np.concatenate((batch.latency_ns, failed_latency)))
    body_bytes = batch.body_bytes + sum(outcome.body_bytes for outcome in batch.failures)
    buckets = list(count_buckets(latency_ns, locust.stats.bucket_response_time))
    seconds = list(_count_values(done_ns // _NS_PER_S))
    failed_seconds = list(_count_values((failed_done + offset_ns) // _NS_PER_S))
    for entry in (stats.total, stats.entries[(name, method)]):
        _add(entry, done_ns, latency_ns, buckets, seconds, body_bytes)
        for second, count in failed_seconds:
            entry.num_failures += count
            entry.num_fail_per_sec[second] += count
    for outcome in batch.failures:
        _add_error(stats, outcome, method, name, (outcome.done_ns + offset_ns) / _NS_PER_S)


def _add(
    entry: StatsEntry,
    done_ns: Nanoseconds,
    latency_ns: Nanoseconds,
    buckets: list[tuple[int, int]],
    seconds: list[tuple[int, int]],
    body_bytes: int,
) -> None:
    last_s = float(done_ns.max()) / _NS_PER_S
    if (
        entry.use_response_times_cache
        and entry.last_request_timestamp
        and int(last_s) > int(entry.last_request_timestamp)
    ):
        entry._cache_response_times(int(last_s) - 1)
    entry.num_requests += len(done_ns)
    for second, count in seconds:
        entry.num_reqs_per_sec[second] += count
    entry.last_request_timestamp = max(entry.last_request_timestamp or 0.0, last_s)
    # Locust's annotations say int, but what its users feed it are floats
    entry.total_response_time += int(latency_ns.sum()) / _NS_PER_MS  # type: ignore[assignment]
    shortest_ms, longest_ms = int(latency_ns[0]) / _NS_PER_MS, int(latency_ns[-1]) / _NS_PER_MS
    known_ms = entry.min_response_time
    entry.min_response_time = shortest_ms if known_ms is None else min(known_ms, shortest_ms)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, longest_ms)  # type: ignore[assignment]
    for bucket, count in buckets:
        entry.response_times[bucket] += count
    entry.total_content_length += body_bytes


def count_buckets(sorted_ns: Nanoseconds, bucket_of: Callable[[float], float]) -> Iterator[tuple[int, int]]:
    """How many of the sorted latencies fall into each bucket of Locust's rounding function, whichever it is.

    The function is never called for each latency: where both ends of a run share a bucket, so does all between, since
    rounding keeps the order.
    """
    start, count = 0, len(sorted_ns)
    while start < count:
        bucket = bucket_of(int(sorted_ns[start]) / _NS_PER_MS)
        # gallop, then halve: [start, low] is in the bucket, high is not or is the end
        low, step = start, 1
        high = min(start + step, count)
        while high < count and bucket_of(int(sorted_ns[high]) / _NS_PER_MS) == bucket:
            low, step = high, step * 2
            high = min(high + step, count)
        while high - low > 1:
            middle = (low + high) // 2
            if bucket_of(int(sorted_ns[middle]) / _NS_PER_MS) == bucket:
                low = middle
            else:
                high = middle
        yield bucket, high - start  # type: ignore[misc]
        start = high


def _count_values(values: Nanoseconds) -> Iterator[tuple[int, int]]:
    unique, counts = np.unique(values, return_counts=True)
    yield from zip(unique.tolist(), counts.tolist(), strict=True)


def _add_error(stats: RequestStats, outcome: Outcome, method: str, name: str, done_s: float) -> None:
    key = StatsError.create_key(method, name, outcome.error)
    entry = stats.errors.get(key)
    if entry is None:
        entry = stats.errors[key] = StatsError(method, name, outcome.error)
    entry.occurrences += 1
    entry.first_seen = min(entry.first_seen or math.inf, done_s)
    entry.last_seen = max(entry.last_seen or 0.0, done_s)


def since(batch: Batch, intended_from_ns: int) -> Batch:
    """The attempts of a batch intended at an instant or later; the bytes of its bodies are divided by count."""
    failures = [outcome for outcome in batch.failures if outcome.intended_ns >= intended_from_ns]
    chosen = batch.done_ns - batch.latency_ns >= intended_from_ns
    count = int(np.count_nonzero(chosen))
    if count == batch.success_count and len(failures) == len(batch.failures):
        return batch
    body_bytes = batch.body_bytes * count // max(1, batch.success_count)
    row_counts = None if batch.row_counts is None else batch.row_counts[chosen]
    arrays = batch.done_ns[chosen], batch.latency_ns[chosen], batch.service_ns[chosen]
    return Batch(*arrays, body_bytes, failures, row_counts=row_counts)
