"""Open loads that replay a recorded trace: bursts of one instant, silences, once or repeated."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from inference_swarm.data.trace import Trace
from inference_swarm.load.arrivals import NS_PER_S
from inference_swarm.load.trace_schedule import TraceSchedule
from inference_swarm.run.course import LoadPlan


def draw_trace_load(load: LoadPlan, rng: random.Random) -> LoadPlan:
    """Return the load with the arrivals of a trace instead of its own."""
    trace = _draw_trace(rng)
    is_repeated = rng.random() < 0.3
    run_time_s = load.length_s if rng.random() < 0.5 else None
    schedule = TraceSchedule(trace, is_repeated=is_repeated, length_s=run_time_s)
    length_s = None if schedule.end_ns is None else schedule.end_ns / NS_PER_S
    return replace(load, schedule=schedule, length_s=length_s, first_step=None)


def with_limit(schedule: TraceSchedule, limit: int, length_s: float | None) -> TraceSchedule:
    """Return the schedule with no more arrivals than `limit`."""
    return TraceSchedule(schedule.trace, is_repeated=schedule.is_repeated, length_s=length_s, limit=limit)


def _draw_trace(rng: random.Random) -> Trace:
    gaps_s = (0.0, 0.0, 0.01, rng.uniform(0.02, 0.5), rng.choice((0.1, 0.1, 4.0)))
    instants_s = np.cumsum([rng.choice(gaps_s) for _ in range(rng.randint(1, 80))])
    instants_ns = np.rint((instants_s - instants_s[0]) * NS_PER_S).astype(np.int64)
    numbers = np.arange(instants_ns.size)
    offsets_ns = np.maximum.accumulate(instants_ns - numbers) + numbers  # as `read_trace` has it
    return Trace(offsets_ns, None if rng.random() < 0.5 else np.array(rng.sample(range(len(numbers)), len(numbers))), 0)
