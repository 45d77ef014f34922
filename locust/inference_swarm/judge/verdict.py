"""The verdict on a run: one status with its label and exit code, and the reasons for it.

`judge` is the one function: counters, objectives and facts in, a verdict out. docs/measuring.md has its rules as a
table. The first status in the order of `Status` that holds is the verdict's. No data is no success: a run passes only
if requests were sent and succeeded, nothing was dropped, unaccounted for or never sent, and what failed or was
abandoned is allowed by an objective on `error_rate` of all requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from inference_swarm.errors import ExitCode
from inference_swarm.judge.evaluate import Evidence, InTime, ObjectiveOutcome, ObjectiveResult, evaluate
from inference_swarm.judge.objectives import Objective
from inference_swarm.measure.counters import RequestCounters, merge_counters
from inference_swarm.measure.snapshot import OtherCounts
from inference_swarm.transport.outcome import ErrorKind

GENERATOR_BOUND_WORDS = (
    "the load generator was the bottleneck: the server may do more than these rates, and times include the generator's"
)


class Tone(StrEnum):
    """The colours of labels: the names of CSS classes."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


class Status(Enum):
    """From the worst to the best; the first that holds is the verdict's. (label, exit code, tone)"""

    REFUSED = ("refused", ExitCode.BAD_CONFIGURATION, Tone.BAD)
    UNREACHABLE = ("target unreachable", ExitCode.TARGET_UNREACHABLE, Tone.BAD)
    ABORTED = ("aborted", ExitCode.OBJECTIVE_MISSED, Tone.BAD)
    OBJECTIVE_MISSED = ("objective missed", ExitCode.OBJECTIVE_MISSED, Tone.BAD)
    INTERRUPTED = ("interrupted", ExitCode.INCOMPLETE, Tone.WARN)
    INCOMPLETE = ("incomplete", ExitCode.INCOMPLETE, Tone.WARN)
    REQUESTS_FAILED = ("requests failed", ExitCode.REQUESTS_FAILED, Tone.BAD)
    NOTHING_SENT = ("nothing sent", ExitCode.INCOMPLETE, Tone.WARN)
    GENERATOR_BOUND = ("generator-bound", ExitCode.PASSED, Tone.WARN)
    PASSED = ("passed", ExitCode.PASSED, Tone.GOOD)

    @property
    def label(self) -> str:
        """The label in every output, of one or two words."""
        return self.value[0]

    @property
    def exit_code(self) -> ExitCode:
        return self.value[1]

    @property
    def tone(self) -> Tone:
        return self.value[2]

    @property
    def rank(self) -> int:
        """The rank of the status; 0 is the worst."""
        return list(Status).index(self)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts for a verdict besides counters."""

    measured_s: float
    """The time in which requests are counted for a rate."""
    unaccounted: int = 0
    """Arrivals of the schedule that nobody reported as sent or dropped."""
    never_sent: int = 0
    """Rows that were to be sent once and were not."""
    is_open: bool = False
    is_generator_bound: bool = False
    has_connected: bool = False
    """Connections were opened, if not by the requests that are counted then before."""
    refused_because: str = ""
    aborted_because: str = ""
    interrupted_because: str = ""
    incomplete_because: tuple[str, ...] = ()
    others: OtherCounts = field(default_factory=OtherCounts)
    in_time: InTime | None = None
    """For a stage: what ended within it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` are sentences, the most important first; there is one at least unless the run passed."""

    status: Status
    results: tuple[ObjectiveResult, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.status.label

    @property
    def exit_code(self) -> ExitCode:
        return self.status.exit_code

    @property
    def tone(self) -> Tone:
        return self.status.tone

    @property
    def is_passed(self) -> bool:
        """True when the run passed and the load generator was not the bottleneck."""
        return self.status is Status.PASSED


def judge(names: Mapping[str, RequestCounters], objectives: Sequence[Objective], facts: RunFacts) -> Verdict:
    """The verdict on counters by request name."""
    evidence = Evidence(
        facts.measured_s,
        facts.unaccounted + facts.never_sent,
        facts.is_open,
        facts.is_generator_bound,
        facts.in_time,
    )
    results = tuple(evaluate(objective, names, evidence) for objective in objectives)
    total = merge_counters(names.values())
    found = [
        *_cut_short(facts),
        *_unreachable(total, facts),
        *_by_objectives(results),
        *_incomplete(facts),
        *_unread(total),
        *_unserved(total, facts, any(objective.is_on_all_failures for objective in objectives)),
        *_others(facts.others),
    ]
    if facts.is_generator_bound and total.succeeded:  # else there is no rate that could be higher
        found.append((Status.GENERATOR_BOUND, GENERATOR_BOUND_WORDS))
    found.sort(key=lambda pair: pair[0].rank)
    status = found[0][0] if found else Status.PASSED
    return Verdict(status, results, tuple(reason for _, reason in found))


def with_results(verdict: Verdict, results: Sequence[ObjectiveResult]) -> Verdict:
    """Return the verdict with further objectives; those that are missed or incomplete may make it worse."""
    found = _by_objectives(results)
    status = min([verdict.status, *(status for status, _ in found)], key=lambda one: one.rank)
    words = tuple(because for _, because in sorted(found, key=lambda pair: pair[0].rank))
    reasons = (*verdict.reasons, *words) if status is verdict.status else (*words, *verdict.reasons)
    return Verdict(status, (*verdict.results, *results), reasons)


_Reasons = list[tuple[Status, str]]


def _cut_short(facts: RunFacts) -> _Reasons:
    reasons = (
        (Status.REFUSED, facts.refused_because),
        (Status.ABORTED, facts.aborted_because),
        (Status.INTERRUPTED, facts.interrupted_because),
    )
    return [(status, because) for status, because in reasons if because]


def _unreachable(total: RequestCounters, facts: RunFacts) -> _Reasons:
    if not total.sent or total.succeeded or total.connects or facts.has_connected:
        return []
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(total.failed_by_kind.items()))
    kinds = ", ".join(filter(None, [kinds, f"abandoned {total.abandoned:,}" if total.abandoned else ""]))
    return [(Status.UNREACHABLE, f"none of {total.sent:,} requests got a connection ({kinds})")]


def _by_objectives(results: Sequence[ObjectiveResult]) -> _Reasons:
    statuses = {
        ObjectiveOutcome.FAILED: Status.OBJECTIVE_MISSED,
        ObjectiveOutcome.INCOMPLETE: Status.INCOMPLETE,
    }
    return [(statuses[one.outcome], one.sentence) for one in results if one.outcome in statuses]


def _incomplete(facts: RunFacts) -> _Reasons:
    reasons = [(Status.INCOMPLETE, because) for because in facts.incomplete_because]
    if facts.never_sent:
        reasons.append((Status.INCOMPLETE, f"{_count(facts.never_sent, 'row')} never sent"))
    if facts.unaccounted:
        reasons.append((Status.INCOMPLETE, f"{_count(facts.unaccounted, 'arrival')} unaccounted for"))
    return reasons


def _unread(total: RequestCounters) -> _Reasons:
    """Return that answers were to be looked at and there was none, where that is no failure of each request already."""
    answers = total.answers
    if answers is None or not answers.requests or answers.unreadable < answers.requests or not total.succeeded:
        return []
    if ErrorKind.ANSWER in total.failed_by_kind:
        return []
    words = f"{_count(answers.requests, 'response')} looked at, and none held a prediction for each row"
    return [(Status.INCOMPLETE, words)]


def _unserved(total: RequestCounters, facts: RunFacts, are_failures_judged: bool) -> _Reasons:
    """Return what did not succeed; an objective on `error_rate` judges failed and abandoned requests itself."""
    reasons: _Reasons = []
    if not (total.sent or total.dropped or facts.unaccounted or facts.never_sent):
        others = facts.others.requests
        words = f" by an InferenceUser; {_count(others, 'request')} sent by users of other classes" if others else ""
        return [(Status.NOTHING_SENT, f"no request was sent{words}")]
    if not total.succeeded:
        reasons.append((Status.REQUESTS_FAILED, "no request succeeded"))
    if total.failures and not are_failures_judged:
        reasons.append((Status.REQUESTS_FAILED, f"{total.failures:,} of {total.ended:,} requests failed"))
    if total.abandoned and not are_failures_judged:
        words = f"{_count(total.abandoned, 'request')} abandoned: sent, and without a whole response when the run ended"
        reasons.append((Status.REQUESTS_FAILED, words))
    if total.dropped:
        words = f"{_count(total.dropped, 'arrival')} dropped: no user was free to send them in time"
        reasons.append((Status.REQUESTS_FAILED, words))
    return reasons


def _others(others: OtherCounts) -> _Reasons:
    """Return what fails a run in Locust, and which no objective judges."""
    reasons: _Reasons = []
    if others.failures:
        words = f"{others.failures:,} of {others.requests:,} requests of other user classes failed"
        reasons.append((Status.REQUESTS_FAILED, f"{words}: they are in Locust's table only"))
    if others.exceptions:
        it = "it" if others.exceptions == 1 else "them"
        words = f"{_count(others.exceptions, 'exception')} raised by users: Locust's table has {it}"
        reasons.append((Status.REQUESTS_FAILED, words))
    return reasons


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{' was' if count == 1 else 's were'}"
