"""Ends hopeless runs early (`--abort-when`): text in, conditions out; counts by second in, the reason out.

Grammar, blanks are free:  METRIC COMPARATOR NUMBER UNIT for DURATION
  METRIC   error_rate (all that did not succeed, of all that was asked for), rate, goodput; of all requests together
  error_rate>50% for 10s     goodput<100 for 1m
A condition is met when it holds over the last DURATION as a whole, and that much of the run is over. Where nothing
ended there is no error rate; `goodput<1 for 30s` is the condition for a server that never responds. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.objectives import Objective, Quantity, parse_objective, split_objectives
from inference_swarm.measure.seconds import SecondSeries
from inference_swarm.measure.warm_up import parse_duration_s

EXAMPLES = "error_rate>50% for 10s; goodput<100 for 1m"
_CONDITION = re.compile(r"(?P<bound>.+?)\s+for\s+(?P<duration>\S+)", re.DOTALL)
METRICS = ("error_rate", "rate", "goodput")


@dataclass(frozen=True, slots=True)
class AbortCondition:
    """The run ends early when `bound` holds over `duration_s` seconds."""

    text: str
    bound: Objective
    duration_s: float


def parse_abort_condition(text: str, *, source: str = "--abort-when") -> AbortCondition:
    """Read the grammar above; raises SettingProblem that says what is wrong with which part."""

    def problem(found: str, expected: str) -> SettingProblem:
        return SettingProblem(f"{source}: {text.strip()!r}: {found}", expected=expected, action=f"e.g. {EXAMPLES}")

    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise problem("it does not say for how long", "METRIC COMPARATOR NUMBER for DURATION")
    bound = parse_objective(found["bound"], source=source, is_failure_wanted=True)
    if bound.metric not in METRICS or bound.name is not None or bound.condition or bound.within_us is not None:
        raise problem(f"{found['bound'].strip()!r} cannot be followed from second to second", f"one of {METRICS}")
    try:
        duration_s = parse_duration_s(found["duration"])
    except ValueError:
        raise problem(f"{found['duration']!r} is not a duration", "a time like 10s or 1m30s") from None
    if duration_s < 1:
        raise problem(f"{found['duration']} is too short", "1 s at least")
    return AbortCondition(text.strip(), bound, duration_s)


def parse_abort_conditions(
    text: str, *, source: str = "--abort-when"
) -> tuple[list[AbortCondition], list[SettingProblem]]:
    """Return all conditions of a text that can be read, and all problems of the others."""
    conditions: list[AbortCondition] = []
    problems: list[SettingProblem] = []
    for part in split_objectives(text):
        try:
            conditions.append(parse_abort_condition(part, source=source))
        except SettingProblem as problem:
            problems.append(problem)
    return conditions, problems


def abort_reason(
    conditions: Iterable[AbortCondition], seconds: SecondSeries, start_s: float, reported_until_s: float
) -> str:
    """Return the condition that is met by what every worker has reported; empty if none is.

    `start_s`: when the load began, `reported_until_s`: until when all workers have reported, since the run began.
    """
    end = math.floor(reported_until_s)
    for condition in conditions:
        first = math.floor(end - condition.duration_s)
        if first < start_s:
            continue
        rows = [seconds.at(second) for second in range(first, end)]
        succeeded, bad = sum(row.succeeded for row in rows), sum(row.bad for row in rows)
        measured = _measured(condition.bound, succeeded, sum(row.ended for row in rows), bad, end - first)
        if condition.bound.is_met_by(measured):
            what = condition.bound.format(measured)
            return (
                f"{condition.text}: {condition.bound.metric} was {what} from {first} s to {end} s "
                f"({succeeded:,} requests succeeded, {bad:,} did not)"
            )
    return ""


def _measured(bound: Objective, succeeded: int, ended: int, bad: int, length_s: float) -> float:
    if bound.quantity is Quantity.SHARE:
        return bad / (succeeded + bad) if succeeded + bad else math.nan
    return (succeeded if bound.metric == "goodput" else ended) / length_s
