"""What a search for a capacity is asked for: values, parsed and checked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.objectives import Objective, Quantity
from inference_swarm.judge.sample_size import samples_needed

# For objectives without a time (error_rate): a queue with more than this much work in it is one that grows.
DEFAULT_BOUND_S = 1.0
DEFAULT_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Criterion:
    """An objective as a share: at most `allowed` of all that was asked for is beyond its bound."""

    objective: Objective
    allowed: float
    bound_us: float | None
    """None: what did not succeed is beyond it, whatever it took."""


def criterion_of(objective: Objective) -> Criterion:
    """Return the objective as a share. Raises SettingProblem for one that is none."""
    if objective.is_upper_bound and objective.quantity is Quantity.SHARE:
        return Criterion(objective, objective.bound, None)
    if objective.is_upper_bound and objective.percentile is not None:
        return Criterion(objective, 1 - objective.percentile / 100, objective.bound)
    if objective.is_upper_bound and objective.metric == "max":
        return Criterion(objective, 0.0, objective.bound)
    raise SettingProblem(
        f"--slo: objective {objective.text!r} cannot be searched for",
        expected="upper bounds on percentiles, on max or on error_rate",
        action="leave it out; the search finds the rate itself",
    )


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Loads are requests a second, or users when `by_users`."""

    criteria: tuple[Criterion, ...]
    start: float = 10.0
    """The first load."""
    precision: float = 0.05
    """How far apart the highest load that is met and the lowest that is missed may be."""
    confirm_s: float = 60.0
    step_max_s: float = 30.0
    budget_s: float = 600.0
    by_users: bool = False
    highest: float | None = None
    """Loads above are not tried."""

    @property
    def allowed(self) -> tuple[float, ...]:
        return tuple(criterion.allowed for criterion in self.criteria)

    @property
    def bound_s(self) -> float:
        """The tightest bound on a time."""
        bounds = [criterion.bound_us / 1e6 for criterion in self.criteria if criterion.bound_us is not None]
        return min(bounds, default=DEFAULT_BOUND_S)

    @property
    def settle_s(self) -> float:
        """How long the requests of a step are not judged: the queue gets used to the load."""
        if all(criterion.bound_us is None for criterion in self.criteria):
            return DEFAULT_SETTLE_S
        return min(5.0, max(1.0, 10 * self.bound_s))

    @property
    def samples_needed(self) -> int:
        """How many requests a step must have to be met, unless that takes too long."""
        percentiles = [criterion.objective.percentile for criterion in self.criteria]
        return max((samples_needed(one) for one in percentiles if one is not None), default=1)
