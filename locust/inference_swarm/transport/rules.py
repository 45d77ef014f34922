"""The rules of every attempt of a run: deadlines, limits, and when a response is a success. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from inference_swarm.transport.check import DEFAULT_EXPECTED_STATUS, AnswerChecks, ResponseCheck, parse_expected_status
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.response import ResponseLimits


@dataclass(frozen=True, slots=True)
class AttemptRules:
    """`connection_lifetime_s` is how old a connection may get before the next attempt opens another; None: any age."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    limits: ResponseLimits = field(default_factory=ResponseLimits)
    expected_status: frozenset[int] = field(default_factory=lambda: parse_expected_status(DEFAULT_EXPECTED_STATUS))
    response_check: ResponseCheck | None = None
    connection_lifetime_s: float | None = None
    source_addresses: tuple[str, ...] = ()
    """Local addresses from which connections leave, in turn; empty: from the one that the kernel chooses."""
    answers: AnswerChecks | None = None
    """In place of `response_check` for requests whose rows are known."""

    @property
    def fast_statuses(self) -> frozenset[int]:
        """Statuses of responses that the fast path takes: nobody looks at their bodies, or it does itself."""
        return frozenset() if self.response_check is not None and self.answers is None else self.expected_status

    @property
    def keeps_bodies(self) -> bool:
        """Whether somebody may look at the whole body of a response."""
        return self.response_check is not None or self.answers is not None
