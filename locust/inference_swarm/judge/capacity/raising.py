"""How much the load is raised while no objective is missed. Pure.

A load far above the capacity costs a long recovery, and each halving of what is left costs a whole step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from inference_swarm.judge.capacity.evidence import Finding
from inference_swarm.judge.capacity.plan import SearchPlan
from inference_swarm.judge.capacity.steps import Step

# While nothing is beyond a bound and requests take as long as at low loads.
FAR = 3.0
# When something is, or they take so many times as long.
NEAR, NEAR_TIMES = 1.5, 1.5
# When they take so many times as long.
NEXT, NEXT_TIMES = 1.22, 3.0
USERS = 2.0
# Unless they take hardly longer than at half of the load: a queue that makes them so late makes them later and later.
LEVEL_TIMES = 1.2
# The levels of a search are closer than its precision: one that is taken for the next is still a good answer.
PART = 0.75


def raised(plan: SearchPlan, step: Step, low: float, usual_s: float, half_s: float = 0.0) -> float:
    """Return the load that follows `step`, which was met.

    `usual_s`: how long requests take at low loads, `half_s`: at half of this load; 0 where nobody knows.
    """
    if plan.by_users:
        return low * USERS
    is_level = step.mean_s <= LEVEL_TIMES * half_s
    times = step.mean_s / usual_s if usual_s else 1.0
    if times > NEXT_TIMES and not is_level:
        return low * halving(NEXT, plan.precision)
    is_some_beyond = step.finding is not Finding.MET and any(share.measured for share in step.evidence.shares())
    is_near = is_some_beyond or NEAR_TIMES < times <= NEXT_TIMES
    return low * (halving(NEAR, plan.precision) if is_near else FAR)


def at_half_s(steps: Iterable[Step], load: float) -> float:
    """Return how long requests took at the highest load that was met up to half of this one, 0 if there is none."""
    met = [step for step in steps if step.finding is not None and step.finding.is_met and step.load <= load / 2]
    return max(met, key=lambda step: step.load).mean_s if met else 0.0


def halving(factor: float, precision: float) -> float:
    """Return the next lower factor of which halvings leave PART of the precision; three of 1.5 leave more than 5 %."""
    part = PART * math.log1p(precision)
    return math.exp(part * 2 ** max(0, math.floor(math.log2(math.log(factor) / part))))
