"""The load of a run that is decided while it goes on: steps from agreed instants on, the same on master and workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from inference_swarm.load.stages import Stage, Stages

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LoadStep:
    """From `from_ns` on the rate is `rate_rps` (0 in a closed load, whose users are sent apart).

    What is intended before `settled_ns` is not judged. Instants are in ns since the run began.
    """

    from_ns: int
    settled_ns: int
    rate_rps: float = 0.0


def rate_of_steps(steps: Sequence[LoadStep]) -> Stages:
    """Return the rate over time; the last step goes on without an end."""
    stages = [Stage(steps[0].from_ns / NS_PER_S, 0.0, 0.0)] if steps[0].from_ns else []
    stages += [
        Stage((after.from_ns - step.from_ns) / NS_PER_S, step.rate_rps, step.rate_rps)
        for step, after in pairwise(steps)
        if after.from_ns > step.from_ns
    ]
    stages.append(Stage(float("inf"), steps[-1].rate_rps, steps[-1].rate_rps))
    return Stages(tuple(stages))


def ends_of_steps(steps: Sequence[LoadStep]) -> tuple[int, ...]:
    """Return where a stage ends and another begins: of step n, from 1, stage 2n - 1 settles and stage 2n is judged."""
    return tuple(end_ns for step in steps for end_ns in (step.from_ns, step.settled_ns))


def step_of_stage(stage: int) -> int | None:
    """Return the number of the step of which this stage is the judged part; None for any other."""
    return stage // 2 if stage and stage % 2 == 0 else None
