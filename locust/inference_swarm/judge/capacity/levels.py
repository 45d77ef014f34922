"""All load levels of a search together: more load is never better, so what each has shown speaks for its neighbours.

The shares beyond a bound are fitted with a curve that only rises (isotonic regression by pool-adjacent-violators,
Ayer et al. 1955). Where it crosses what an objective allows lies the capacity, between two levels that were tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference_swarm.judge.capacity.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Bracket:
    """The highest level that is met and the lowest above it that is missed, as far as there are such."""

    low: float | None
    high: float | None


def bracket_of(levels: Mapping[float, Evidence], not_held: frozenset[float] = frozenset()) -> Bracket:
    """Return the bracket; `not_held` are levels at which a confirmation failed, whatever their samples say."""
    loads = sorted(levels)
    low: float | None = None
    is_met = _met_loads(levels, loads)
    for load in loads:
        if not is_met[load] or load in not_held:
            return Bracket(low, load)
        low = load
    return Bracket(low, None)


def _met_loads(levels: Mapping[float, Evidence], loads: list[float]) -> dict[float, bool]:
    met = dict.fromkeys(loads, True)
    if not loads:
        return met
    for place, allowed in enumerate(levels[loads[0]].allowed):
        weighted = []
        for load in loads:
            evidence = levels[load]
            share = evidence.shares()[place]
            weighted.append(
                (1.0, max(1.0, share.samples)) if evidence.is_overloaded else (share.measured, share.samples)
            )
        for load, fitted in zip(loads, isotonic(weighted), strict=True):
            met[load] = met[load] and fitted <= allowed
    for load in loads:
        met[load] = met[load] and not levels[load].is_overloaded
    return met


def isotonic(values: list[tuple[float, float]]) -> list[float]:
    """Return the rising curve nearest to the values, which are (value, weight) in order of load."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many values
    for value, weight in values:
        mean, total, count = value, max(weight, 1e-9), 1
        while pools and pools[-1][0] > mean:
            other_mean, other_weight, other_count = pools.pop()
            mean = (mean * total + other_mean * other_weight) / (total + other_weight)
            total, count = total + other_weight, count + other_count
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]
