"""Folded batches against Locust's own one-by-one logging. Run by test_locust_stats.py in a patched process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import locust.stats
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locust.stats import RequestStats, StatsEntry

from inference_swarm.measure.locust_stats import count_buckets, fold_into_locust
from inference_swarm.transport.outcome import AttemptError, ErrorKind, Outcome
from inference_swarm.transport.outcome_log import OutcomeLog

OFFSET_NS = 1_700_000_000_000_000_000
ROUNDINGS: list[Callable[[float], float]] = [
    locust.stats.bucket_response_time,
    lambda ms: round(ms, 2),
    lambda ms: float(f"{ms:.3g}"),
    lambda ms: 0,
]


def attempt(done_ns: int, latency_ns: int, error: AttemptError | None) -> Outcome:
    return Outcome(done_ns - latency_ns, done_ns - latency_ns, done_ns, done_ns, 100, 120, 19, 200, error)


def view(entry: StatsEntry) -> dict[str, object]:
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "none": entry.num_none_requests,
        "per_s": dict(entry.num_reqs_per_sec),
        "failed_per_s": dict(entry.num_fail_per_sec),
        "buckets": dict(entry.response_times),
        "total": pytest.approx(entry.total_response_time),
        "min": entry.min_response_time,
        "max": entry.max_response_time,
        "bytes": entry.total_content_length,
        "last": entry.last_request_timestamp and round(entry.last_request_timestamp, 3),
    }


attempts = st.lists(
    st.builds(
        attempt,
        done_ns=st.integers(0, 5_000).map(lambda ms: ms * 1_000_000),
        latency_ns=st.one_of(st.integers(1, 2_000_000), st.integers(1, 600_000_000_000)),
        error=st.sampled_from(
            [
                None,
                None,
                AttemptError(ErrorKind.STATUS, "503 Service Unavailable"),
                AttemptError(ErrorKind.TIMEOUT, "no response within 1 s"),
            ]
        ),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(outcomes=attempts, cuts=st.lists(st.integers(0, 60), max_size=3), rounding=st.sampled_from(ROUNDINGS))
def test_any_split_into_batches_equals_one_by_one(
    outcomes: list[Outcome], cuts: list[int], rounding: Callable[[float], float]
) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(locust.stats, "bucket_response_time", rounding)
    try:
        outcomes.sort(key=lambda outcome: outcome.done_ns)
        one_by_one, folded = RequestStats(), RequestStats()
        for outcome in outcomes:
            now_s = (outcome.done_ns + OFFSET_NS) / 1e9
            patch.setattr(locust.stats, "time", SimpleNamespace(time=lambda now_s=now_s: now_s))
            one_by_one.log_request("POST", "/x", outcome.latency_ns / 1e6, outcome.body_bytes)  # type: ignore[arg-type]
            if outcome.error:
                one_by_one.log_error("POST", "/x", outcome.error)
        bounds = [0, *sorted(cuts), len(outcomes)]
        for start, end in pairwise(bounds):
            log = OutcomeLog()
            for outcome in outcomes[start:end]:
                log.add(outcome)
            fold_into_locust(folded, log.take_batch(), method="POST", name="/x", offset_ns=OFFSET_NS)
    finally:
        patch.undo()
    assert view(folded.total) == view(one_by_one.total)
    assert folded.entries.keys() == one_by_one.entries.keys()
    for key in folded.entries:
        assert view(folded.entries[key]) == view(one_by_one.entries[key])
    assert {key: (error.occurrences, error.to_name()) for key, error in folded.errors.items()} == {
        key: (error.occurrences, error.to_name()) for key, error in one_by_one.errors.items()
    }


@settings(deadline=None)
@given(latencies=st.lists(st.integers(0, 10**12), max_size=300), rounding=st.sampled_from(ROUNDINGS))
def test_buckets_are_counted_as_if_each_latency_had_been_rounded(
    latencies: list[int], rounding: Callable[[float], float]
) -> None:
    expected: dict[float, int] = {}
    for latency in latencies:
        bucket = rounding(latency / 1e6)
        expected[bucket] = expected.get(bucket, 0) + 1
    counted = list(count_buckets(np.sort(np.array(latencies, dtype=np.int64)), rounding))
    assert dict(counted) == expected
    assert len(counted) == len(expected)


def test_recent_percentiles_see_only_the_recent_seconds() -> None:
    stats = RequestStats()
    begin_s = 1_700_000_000
    for second in range(30):
        log = OutcomeLog()
        for number in range(10):
            done_ns = (begin_s + second) * 1_000_000_000 + number
            log.add(attempt(done_ns, 5_000_000 if second < 15 else 50_000_000, None))
        fold_into_locust(stats, log.take_batch(), method="POST", name="/x", offset_ns=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locust.stats, "time", SimpleNamespace(time=lambda: begin_s + 29.5))
        assert stats.total.get_current_response_time_percentile(0.1) == 50
        assert stats.total.get_response_time_percentile(0.1) == 5
