"""What is to be said of a run in one word and one exit code: objectives, failures, completeness and reachability in.

The first that holds wins: target unreachable, objective missed, incomplete, requests failed, passed. Failed requests
alone do not fail a run that has an objective on `error_rate` of all requests: the person said how many are too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference_swarm.errors import ExitCode
from inference_swarm.judge.objectives import Objective
from inference_swarm.judge.verdict import ObjectiveResult, Outcome, judge
from inference_swarm.measure.snapshot import RequestTally, merge_tallies


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`code` in one word, the objectives it rests on, and what else there is to say about it in sentences."""

    code: ExitCode
    results: tuple[ObjectiveResult, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """As docs/architecture.md names the code: `objective missed`."""
        return self.code.name.lower().replace("_", " ")


def conclude(
    names: Mapping[str, RequestTally],
    duration_s: float,
    objectives: Sequence[Objective],
    *,
    incomplete_because: Sequence[str] = (),
) -> Conclusion:
    """The conclusion on tallies by request name over the measured time."""
    verdict = judge(names, duration_s, objectives, incomplete_because=incomplete_because)
    total = merge_tallies(names.values())
    if total.ended and not total.connects and not total.succeeded:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(total.failed.items()))
        sentence = f"none of {total.ended:,} requests got a connection ({kinds})"
        return Conclusion(ExitCode.TARGET_UNREACHABLE, verdict.results, (sentence, *verdict.reasons))
    reasons = list(verdict.reasons)
    if verdict.outcome is Outcome.FAILED:
        code = ExitCode.OBJECTIVE_MISSED
    elif verdict.outcome is Outcome.INCOMPLETE:
        code = ExitCode.INCOMPLETE
        reasons += [result.sentence for result in verdict.results if result.outcome is Outcome.INCOMPLETE]
    elif total.failures and not any(is_on_failures(objective) for objective in objectives):
        code = ExitCode.REQUESTS_FAILED
        reasons.append(f"{total.failures:,} of {total.ended:,} requests failed")
    else:
        code = ExitCode.PASSED
    return Conclusion(code, verdict.results, tuple(reasons))


def is_on_failures(objective: Objective) -> bool:
    """It says how many failures of all requests are too many."""
    return objective.metric == "error_rate" and objective.name is None
