"""Decides by a run's reports: end its warm-up, or end it early. Pure, once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_swarm.judge.abort import AbortCondition, abort_reason
from inference_swarm.measure.totals import SwarmTotals


@dataclass(frozen=True, slots=True)
class Seen:
    """`is_warm`: the warm-up is over now; `abort_because`: which condition of `--abort-when` is met, or empty."""

    is_warm: bool = False
    abort_because: str = ""


class RunWatch:
    """Looks at the totals of one run after each report."""

    def __init__(self, conditions: Sequence[AbortCondition] = (), warm_up_requests: int = 0) -> None:
        self._conditions = conditions
        self._warm_up_requests = warm_up_requests
        self._is_aborted = False

    def look(self, totals: SwarmTotals) -> Seen:
        """Return what has changed since the last look."""
        is_warm = 0 < self._warm_up_requests <= sum(counters.ended for counters in totals.names.values())
        if is_warm:
            self._warm_up_requests = 0
        because = ""
        if self._conditions and not self._is_aborted:
            because = abort_reason(self._conditions, totals.seconds, 0.0, totals.reported_until_s())
            self._is_aborted = bool(because)
        return Seen(is_warm, because)
