"""How much the load is raised while no objective is missed. Pure.

A load far above the capacity costs a long recovery, and each halving of what is left costs a whole step.
"""

from __future__ import annotations

import math

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
# The levels of a search are closer than its precision: one that is taken for the next is still a good answer.
PART = 0.75


def raised(plan: SearchPlan, step: Step, low: float, usual_s: float) -> float:
    """Return the load that follows `step`, which was met. `usual_s`: how long requests take at low loads."""
    if plan.by_users:
        return low * USERS
    times = step.mean_s / usual_s if usual_s else 1.0
    if times > NEXT_TIMES:
        return low * halving(NEXT, plan.precision)
    is_some_beyond = step.finding is not Finding.MET and any(share.measured for share in step.evidence.shares())
    return low * (halving(NEAR, plan.precision) if is_some_beyond or times > NEAR_TIMES else FAR)


def halving(factor: float, precision: float) -> float:
    """Return the next lower factor of which halvings leave PART of the precision; three of 1.5 leave more than 5 %."""
    part = PART * math.log1p(precision)
    return math.exp(part * 2 ** max(0, math.floor(math.log2(math.log(factor) / part))))
