"""Settings of a trace (`--arrival trace`): what does not go together, and the schedule once its instants were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.load_options import COLUMNS
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import read_source
from inference_swarm.data.trace import Trace, read_trace
from inference_swarm.errors import SettingProblem
from inference_swarm.load.arrivals import NS_PER_S
from inference_swarm.load.trace_schedule import TraceSchedule
from inference_swarm.run.capture_plan import capture_problems

if TYPE_CHECKING:
    from inference_swarm.run.plan import RunPlan

TRACE = "trace"


def trace_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what is missing for a trace or contradicts it, or what is given without one."""
    if values["arrival"] != TRACE:
        given = (
            ("--time-column", bool(values["time_column"])),
            ("--trace-format", values["trace_format"] != COLUMNS),
            ("--speed", values["speed"] != 1),
            ("--loop", values["loop"]),
        )
        return [
            SettingProblem(
                f"{flag} is given and --arrival is {values['arrival']}",
                expected=f"{flag} only with --arrival trace",
                action=f"add --arrival trace, or leave {flag} out",
            )
            for flag, is_given in given
            if is_given
        ]
    problems = capture_problems(values)
    if not values["time_column"] and values["trace_format"] == COLUMNS:
        problems.append(
            SettingProblem(
                "--arrival is trace and --time-column is not set",
                expected="the column of the data that holds the instant of each row, or the format of a capture",
                action="give --time-column, or --trace-format",
            )
        )
    others = (
        ("--rate", values["rate_rps"] is not None, "the trace has its rate; --speed changes it"),
        ("--stages", bool(values["stages"]), "the trace has its rate; --speed changes it"),
        ("--find-capacity", values["find_capacity"], "a search decides the rate"),
        ("--ab", bool(values["ab"]), "an A/B run sends each row twice"),
        ("--batch-size", values["batch_size"] != 1, "each row has an instant of its own"),
        ("--row-order", values["row_order"] != "random", "the instants are the order"),
    )
    problems += [
        SettingProblem(
            f"--arrival is trace and {flag} is given", expected=f"one of them: {why}", action="leave one of them out"
        )
        for flag, is_given, why in others
        if is_given
    ]
    return problems


def trace_schedule_of(settings: Settings, trace: Trace) -> TraceSchedule:
    """Return the schedule, the same on the master and on every worker."""
    return TraceSchedule(trace, is_repeated=settings.loop, length_s=settings.duration_s, limit=settings.requests)


def with_trace(plan: RunPlan, in_pool: Callable[[Callable[[], Trace]], Trace]) -> tuple[RunPlan, Trace | None]:
    """Return the plan with the schedule of its trace. Reads the data, in `in_pool`; raises DataError."""
    settings = plan.settings
    if settings.arrival != TRACE:
        return plan, None
    trace = in_pool(lambda: read_trace(read_source(plan.source), settings.speed, settings.row_memory_bytes))
    schedule = trace_schedule_of(settings, trace)
    # A number of requests ends a run when the last of them has been sent, however late that is.
    end_ns = trace_schedule_of(replace(settings, requests=None), trace).end_ns
    length_s = None if end_ns is None else end_ns / NS_PER_S
    return replace(plan, load=replace(plan.load, schedule=schedule, length_s=length_s)), trace


def cut_words(plan: RunPlan, trace: Trace) -> str:
    """Return that the duration of the run ends it before the trace does; empty if it does not."""
    length_s, whole_s = plan.load.length_s, int(trace.offsets_ns[-1]) / NS_PER_S
    if plan.settings.loop or length_s is None or length_s > whole_s:
        return ""
    due = int((trace.offsets_ns < round(length_s * NS_PER_S)).sum())
    return (
        f"The run ends after {length_s:,.0f} s (--run-time, or `duration` of config.json), the trace after "
        f"{whole_s:,.0f} s: {due:,} of its {len(trace):,} rows are sent"
    )
