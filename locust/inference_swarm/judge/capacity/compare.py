"""Two capacities: between which loads each lies beyond doubt, and whether they differ significantly. Pure."""

from __future__ import annotations

import math

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.capacity.answer import load_words
from inference_swarm.judge.capacity.plan import criterion_of
from inference_swarm.judge.capacity.result import CapacityResult, StepRow
from inference_swarm.judge.objectives import parse_objective


def sure_bounds(result: CapacityResult) -> tuple[float, float]:
    """Return the highest load that is met and the lowest that is missed with 95 % each; 0 and infinity for none.

    By the exact interval of each step's shares: the whole of it is within what is allowed, or none of it.
    """
    steps = [step for step in result.steps if step.is_judged and step.part != "drain"]
    missed = min((step.load for step in steps if _is_surely_missed(step)), default=math.inf)
    met = max((step.load for step in steps if _is_surely_met(step) and step.load < missed), default=0.0)
    return met, missed


def _allowed(objective: str) -> float | None:
    try:
        return criterion_of(parse_objective(objective)).allowed
    except SettingProblem:  # of a release with another grammar
        return None


def _is_surely_met(step: StepRow) -> bool:
    if step.is_overloaded or not step.measured:
        return False
    bounds = [(one, _allowed(one.objective)) for one in step.measured]
    return all(allowed is not None and one.share_high <= allowed for one, allowed in bounds)


def _is_surely_missed(step: StepRow) -> bool:
    if step.is_overloaded:
        return not step.is_generator_bound
    bounds = [(one, _allowed(one.objective)) for one in step.measured]
    return not step.is_generator_bound and any(
        allowed is not None and one.share_low > allowed for one, allowed in bounds
    )


def comparison_words(one: CapacityResult, other: CapacityResult) -> str:
    """Return whether two capacities differ significantly, and what each is."""
    if one.load is None or other.load is None:
        return "There are not two capacities to compare: a search has not found its own."
    if one.by_users != other.by_users:
        return "The capacities cannot be compared: one is a rate, the other a number of users."
    spans = [sure_bounds(result) for result in (one, other)]
    said = f"A {_words(one, one.load, spans[0])} and B {_words(other, other.load, spans[1])}"
    is_apart = spans[0][1] <= spans[1][0] or spans[1][1] <= spans[0][0]
    if not is_apart:
        return f"No significant difference: {said}."
    change = (other.load / one.load - 1) * 100
    return f"B holds {abs(change):.3g} % {'more' if change > 0 else 'less'} than A, significantly: {said}."


def _words(result: CapacityResult, load: float, span: tuple[float, float]) -> str:
    return f"{'at least ' if result.is_at_least else ''}{load_words(load, by_users=result.by_users)} ({_span(span)})"


def _span(span: tuple[float, float]) -> str:
    low, high = span
    if math.isinf(high):
        return f"surely above {low:,.4g}" if low else "no bound is sure"
    return f"surely between {low:,.4g} and {high:,.4g}"
