"""The state of a run while it goes on: the run in, the numbers of its line on the terminal out. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference_swarm.judge.capacity.answer import search_words
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.intervals import Interval
from inference_swarm.measure.totals import SwarmTotals

if TYPE_CHECKING:
    from inference_swarm.run.run import Run

# Of this many newest intervals, the one that most workers have reported; the last ones are still arriving.
LOOKED_AT = 3


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of the run, in seconds since it began, that a rate and its times are of."""

    start_s: float
    end_s: float
    rate_rps: float
    rows_per_s: float
    p50_us: float = math.nan
    p99_us: float = math.nan


@dataclass(frozen=True, slots=True)
class Moment:
    """`requests`, `failures`, `abandoned` and `dropped` are since the run began or, if there is one, since its warm-up.

    `warm_up_left_s`: how long the warm-up still goes on, of which these are then; None when it is over.
    """

    elapsed_s: float
    length_s: float | None
    users: int
    workers: int
    window: Window | None
    requests: int
    failures: int
    abandoned: int = 0
    dropped: int = 0
    warm_up_left_s: float | None = None
    draining: int = 0
    """Users that are stopping while others run in their place; `users` are without them."""
    search: str = ""
    """A search for a capacity: the step under way, and between which loads it is."""


def moment_of(run: Run, users: int, now_s: float, draining: int = 0) -> Moment:
    """`now_s` is on the clock of the run's course."""
    totals, course = run.totals, run.course
    elapsed_s = max(0.0, now_s - (course.began_s or 0.0))
    warm_up_left_s = totals.epoch_start_s - elapsed_s
    is_warming_up = warm_up_left_s > 0
    counted = merge_counters((totals.left_out if is_warming_up else totals.names).values())
    present = present_workers(totals, course.losses)
    return Moment(
        elapsed_s=elapsed_s,
        length_s=run.plan.load.length_s,
        users=users,
        workers=len(present),
        window=None if is_warming_up else newest_window(totals, present),
        requests=counted.ended,
        failures=counted.failures,
        abandoned=counted.abandoned,
        dropped=counted.dropped,
        warm_up_left_s=warm_up_left_s if is_warming_up else None,
        draining=draining,
        search="" if run.capacity is None else search_words(run.capacity.result()),
    )


def present_workers(totals: SwarmTotals, lost: Collection[str]) -> list[str]:
    """Who takes part and has neither ended nor been lost."""
    return [name for name, worker in totals.workers.items() if worker.final_sequence is None and name not in lost]


def newest_window(totals: SwarmTotals, present: Collection[str]) -> Window | None:
    """The newest stretch of which all who are present have reported, or else most of them; None before any report."""
    newest: list[Interval] = totals.series.intervals()[-LOOKED_AT:]
    if not newest:
        return None
    here = set(present)
    best = max(newest, key=lambda interval: (len(interval.coverage.by_worker.keys() & here), interval.start_s))
    total: RequestCounters = best.total()
    start_s, end_s = best.start_s, best.start_s + best.length_s
    rates = best.per_s(total.ended_in_time), best.per_s(total.rows_in_time)
    if not total.latency.count:
        return Window(start_s, end_s, *rates)
    p50_us, p99_us = total.latency.percentiles_us([50, 99])
    return Window(start_s, end_s, *rates, p50_us, p99_us)
