"""What a search for a capacity has come to: its answer, what it rests on, and each of its steps. Values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from pydantic import TypeAdapter, ValidationError

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.errors import ProtocolError
from inference_swarm.judge.capacity.evidence import Finding
from inference_swarm.judge.capacity.scalability import Scalability
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.capacity.steps import Part


@dataclass(frozen=True, slots=True)
class Measured:
    """One objective in one step: `p99<50ms`, what was measured, and the share of requests beyond the bound."""

    objective: str
    text: str
    outcome: str
    value: float | None
    """In the unit of the bound: µs, or a share; None where nothing can be said."""
    share: float
    share_low: float
    share_high: float
    """The exact interval of the true share, with 95 %."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. `load` is in requests a second, or in users; instants are seconds since the run began."""

    step: int
    part: Part
    load: float
    start_s: float
    settled_s: float
    end_s: float | None
    finding: Finding | None
    is_overloaded: bool = False
    is_generator_bound: bool = False
    is_discarded: bool = False
    left_out_s: float = 0.0
    """How many seconds of its judged part are in none of its numbers, since a worker was late in them."""
    requests: int = 0
    failures: int = 0
    dropped: int = 0
    rate_rps: float = 0.0
    """Successes of its judged part, by its length without what is left out."""
    percentiles_us: dict[str, float | None] = field(default_factory=dict)
    measured: tuple[Measured, ...] = ()
    in_flight: int = 0
    """At its end."""
    cpu_percent: float = 0.0
    """Of the workers' cores, on average."""

    @property
    def is_judged(self) -> bool:
        """True when it says something about the server."""
        return self.finding is not None and not self.is_discarded


@dataclass(frozen=True, slots=True)
class CapacityResult:
    """The result; `outcome` is None while the search goes on."""

    outcome: Outcome | None
    by_users: bool
    load: float | None
    """The answer: the highest load that was confirmed."""
    answer: StepRow | None
    missed: StepRow | None
    """The lowest load above it that was missed."""
    is_at_least: bool
    why: str
    notes: tuple[str, ...]
    steps: tuple[StepRow, ...]
    workers: int
    workers_needed: int | None = None
    """At least: how many workers would carry the rate at which the generator was the bottleneck, about."""
    low: float | None = None
    """The highest load that is met by what was seen, confirmed or not."""
    high: float | None = None
    """The lowest load above it that is missed."""
    precision: float = 0.05
    scalability: Scalability | None = None
    """By users: how throughput grows with them."""
    target_rps: float | None = None
    at_least_rps: float | None = None


_RESULT = TypeAdapter(CapacityResult)


def result_of_summary(capacity: ReadDocument) -> CapacityResult:
    """Read the part of summary.json; raises ProtocolError."""
    steps = {step["step"]: step for step in capacity["steps"]}
    known = {spec.name for spec in fields(CapacityResult)}
    answer, missed = steps.get(capacity["answer_step"]), steps.get(capacity["missed_step"])
    return read_result({**{key: capacity[key] for key in known & capacity.keys()}, "answer": answer, "missed": missed})


def write_result(result: CapacityResult) -> Document:
    """Return plain values, for summary.json and for the saved state of a run."""
    written: Document = _RESULT.dump_python(result, mode="json")
    return written


def read_result(document: object) -> CapacityResult:
    """Read what `write_result` wrote; raises ProtocolError."""
    try:
        return _RESULT.validate_python(document)
    except ValidationError as error:
        raise ProtocolError(f"a capacity that cannot be read: {error.error_count()} problems") from error
