"""The sentence that concludes a report."""

from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.export.sentence import concluding_sentence

CALM: dict[str, Any] = {
    "requests": 12_345, "duration_s": 30.2, "rate_rps": 411.5, "rows_per_s": 411.5,
    "arrivals": None, "failures": 0, "dropped": 0,
    "latency_us": {"p50": 5000.0, "p99": 12_300.0}, "objectives": [],
}  # fmt: skip
PASS, FAIL = {"outcome": "pass"}, {"outcome": "fail"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "12,345 requests in 30 s: 412/s, half within 5 ms, 99 % within 12.3 ms, none failed."),
        (
            {"arrivals": {"wanted_rps": 500.0}, "failures": 12, "abandoned": 3, "dropped": 4,
             "objectives": [PASS, FAIL]},
            "12,345 requests in 30 s: 412/s of 500/s wanted, of the successes half within 5 ms, 99 % within 12.3 ms, "
            "12 failed (0.0972 %), 3 abandoned, 4 dropped; 1 of 2 objectives met.",
        ),
        ({"objectives": [PASS]}, "12,345 requests in 30 s: 412/s, half within 5 ms, 99 % within 12.3 ms, none failed; "
                                 "the objective was met."),
        (
            {"requests": 1, "failures": 1, "rate_rps": 0.033, "rows_per_s": 0.033,
             "latency_us": {"p50": None, "p99": None}},
            "1 request in 30 s: 0.033/s, no latency of a success, 1 failed (100 %).",
        ),
        ({"rows_per_s": 13_168.0}, "12,345 requests in 30 s: 412/s (13,168 rows/s), half within 5 ms, "
                                   "99 % within 12.3 ms, none failed."),
        ({"requests": 0}, "No request ended in 30 s."),
    ],
)  # fmt: skip
def test_it_says_what_a_person_would(changes: dict[str, Any], sentence: str) -> None:
    assert concluding_sentence({**CALM, **changes}) == sentence
