"""Bias and spread of searches for a capacity, against servers in virtual time: a table for docs/measuring.md."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np

from inference_swarm.judge.capacity.plan import Criterion, SearchPlan, criterion_of
from inference_swarm.judge.capacity.search import Outcome, Search
from inference_swarm.judge.objectives import parse_objective
from tests.simulated_servers import Server, World, models

OBJECTIVES = {
    "mm1": "p99<50ms", "md1": "p99<20ms", "mm4": "p99<50ms", "limit": "error_rate<1%", "cliff": "p99<50ms",
    "noisy": "p99<50ms",
}  # fmt: skip
WORDS = {
    "mm1": "M/M/1, μ = 500/s",
    "md1": "M/D/1, 2 ms",
    "mm4": "M/M/4, 8 ms each",
    "limit": "503 above 300/s",
    "cliff": "M/M/1 that collapses at 100 in flight and needs 5 s",
    "noisy": "M/M/1 of which the speed wanders, with pauses",
}
THEORY = {"mm1": 500 - math.log(100) / 0.05}
SECONDS = 3000
CONFIRM_S = 20.0
WITHIN = 0.07


def capacity_of(make: Callable[[np.random.Generator], Server], criterion: Criterion) -> float:
    """The highest rate at which the objective is met over SECONDS, by bisection with the same random numbers."""
    low, high = 100.0, 600.0
    for _ in range(10):
        rate = (low + high) / 2
        rng = np.random.default_rng(5)
        server = make(rng)
        beyond = asked = 0
        for second in range(SECONDS):
            arrivals = np.sort(rng.random(int(rng.poisson(rate)))) + second
            done, served = server.serve(arrivals)
            is_slow = ~served
            if criterion.bound_us is not None:
                is_slow = is_slow | (done - arrivals >= criterion.bound_us / 1e6)
            asked, beyond = asked + len(arrivals), beyond + int(is_slow.sum())
        low, high = (rate, high) if beyond <= criterion.allowed * asked else (low, rate)
    return low


def searches(name: str, count: int) -> Iterator[tuple[float, float, Outcome | None]]:
    """The load found (0 for none), the time taken, and the outcome, of each search."""
    criterion = criterion_of(parse_objective(OBJECTIVES[name]))
    for seed in range(count):
        rng = np.random.default_rng(seed)
        plan = SearchPlan((criterion,), confirm_s=CONFIRM_S, step_max_s=20.0)
        world = World(models(rng)[name](), rng, plan)
        search = world.run(Search(plan))
        yield search.answer.load if search.answer else 0.0, world.now_s, search.outcome


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--searches", type=int, default=10_000, help="of all servers together")
    parser.add_argument("--only", choices=OBJECTIVES, action="append")
    options = parser.parse_args()
    names = options.only or list(OBJECTIVES)
    rows = [
        "| server | objective | capacity | searches | bias | spread | within 7 % | time, mean (95 %) |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in names:
        criterion = criterion_of(parse_objective(OBJECTIVES[name]))
        capacity = THEORY.get(name) or capacity_of(lambda rng, name=name: models(rng)[name](), criterion)
        found = list(searches(name, options.searches // len(names)))
        ratios = np.array([load / capacity for load, _, outcome in found if outcome is Outcome.FOUND])
        within = float(np.sum(np.abs(ratios - 1) <= WITHIN)) / len(found)
        times = np.array([time_s for _, time_s, _ in found])
        rows.append(
            f"| {WORDS[name]} | `{OBJECTIVES[name]}` | {capacity:.1f}/s | {len(found):,} | {ratios.mean() - 1:+.1%} "
            f"| {ratios.std():.1%} | {within:.1%} | {times.mean():.0f} s ({np.percentile(times, 95):.0f} s) |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
