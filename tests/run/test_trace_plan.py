"""What is said of a trace before it is replayed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from inference_swarm.data.trace import Trace
from inference_swarm.run.trace_plan import cut_words

TRACE = Trace(np.arange(100, dtype=np.int64) * 1_000_000_000, None, 0)


def words(length_s: float | None, *, loop: bool = False) -> str:
    plan: Any = SimpleNamespace(settings=SimpleNamespace(loop=loop), load=SimpleNamespace(length_s=length_s))
    return cut_words(plan, TRACE)


def test_a_duration_that_cuts_the_trace_is_said_with_how_much_is_sent() -> None:
    assert words(30.0) == (
        "The run ends after 30 s (--run-time, or `duration` of config.json), the trace after 99 s: "
        "30 of its 100 rows are sent"
    )


def test_a_trace_that_is_replayed_to_its_end_or_repeated_is_not_cut() -> None:
    assert words(99.000000001) == words(None) == words(30.0, loop=True) == ""
