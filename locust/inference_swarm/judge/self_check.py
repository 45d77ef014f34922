"""Was it the load generator that was measured? Health reports of workers and master in, warnings in sentences out.

A metric that is over its limit in a tenth of the reports (and in two at least), or any exhaustion of ports or files,
marks the run: its numbers then say more about the generator than about the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.measure.snapshot import WorkerHealth

MASTER = "master"


@dataclass(frozen=True, slots=True)
class Limit:
    """The value of a metric that speaks against the generator, and the sentence that says so."""

    metric: str
    limit: float
    sentence: str


# 90 %: Locust warns from there on too (runners.CPU_WARNING_THRESHOLD). 10 ms: a response that waits this long to be
# read makes a model that responds in a few ms look several times slower.
LIMITS = (
    Limit("cpu_percent", 90, "used {worst:.0f} % of a core (limit {limit:.0f} %): add workers or lower the load"),
    Limit(
        "loop_lag_p99_ms", 10, "was {worst:.1f} ms late to read responses (p99 of an interval, limit {limit:.0f} ms)"
    ),
    Limit("scheduling_lag_p99_ms", 10, "sent requests {worst:.1f} ms late (p99 of an interval, limit {limit:.0f} ms)"),
)
MARKING_SHARE = 0.1
FILES_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class SelfCheckWarning:
    """`who` is a worker's id or `master`; `is_bottleneck` marks the run."""

    who: str
    metric: str
    sentence: str
    is_bottleneck: bool


@dataclass(slots=True)
class _Watched:
    reports: int = 0
    over: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    ports_exhausted: int = 0
    files_exhausted: int = 0
    files: str = ""

    def to_state(self) -> Document:
        """What `dataclasses.asdict` returns: which takes twenty times as long, of thousands of workers."""
        return {
            "reports": self.reports,
            "over": dict(self.over),
            "worst": dict(self.worst),
            "ports_exhausted": self.ports_exhausted,
            "files_exhausted": self.files_exhausted,
            "files": self.files,
        }


class SelfCheck:
    """Collects the health of each worker and of the master over a run."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        # What was said of each after its last report: of two thousand workers the page asks every second.
        self._said: dict[str, list[SelfCheckWarning]] = {}

    def observe(self, who: str, health: WorkerHealth) -> None:
        """Take one report in; `who` is a worker's id or MASTER."""
        watched = self._watched.setdefault(who, _Watched())
        watched.reports += 1
        self._said.pop(who, None)
        for limit in LIMITS:
            value = getattr(health, limit.metric)
            if value is not None:
                watched.worst[limit.metric] = max(watched.worst.get(limit.metric, 0.0), value)
                watched.over[limit.metric] = watched.over.get(limit.metric, 0) + (value >= limit.limit)
        watched.ports_exhausted += health.ports_exhausted
        watched.files_exhausted += health.files_exhausted
        is_near = (
            health.open_files and health.open_files_limit and health.open_files >= FILES_SHARE * health.open_files_limit
        )
        if is_near:
            watched.files = f"{health.open_files:,} of {health.open_files_limit:,}"

    def to_state(self) -> Document:
        """A dict that msgpack can carry."""
        return {who: watched.to_state() for who, watched in self._watched.items()}

    @classmethod
    def from_state(cls, state: ReadDocument) -> Self:
        """Read what `to_state` wrote; raises TypeError for anything else."""
        check = cls()
        check._watched = {str(who): _Watched(**watched) for who, watched in state.items()}
        return check

    def warnings(self) -> list[SelfCheckWarning]:
        """Return the warnings about the run so far, the master first, then workers by id."""
        ordered = sorted(self._watched, key=lambda who: (who != MASTER, who))
        return [warning for who in ordered for warning in self._warnings_of(who)]

    def _warnings_of(self, who: str) -> list[SelfCheckWarning]:
        if who not in self._said:
            self._said[who] = _warnings_of(who, self._watched[who])
        return self._said[who]


def is_generator_bottleneck(warnings: Iterable[SelfCheckWarning]) -> bool:
    """True when the run is to be marked: at least in part, the generator was measured."""
    return any(warning.is_bottleneck for warning in warnings)


def _warnings_of(who: str, watched: _Watched) -> list[SelfCheckWarning]:
    subject = "The master" if who == MASTER else f"Worker {who}"
    found = []
    for limit in LIMITS:
        over = watched.over.get(limit.metric, 0)
        if over:
            words = limit.sentence.format(worst=watched.worst[limit.metric], limit=limit.limit)
            # A busy master reports late but sends nothing: no request is slower for it.
            # A first report is of connecting and starting; one bad report is a reason only where there are few.
            is_often = over >= MARKING_SHARE * watched.reports and (over > 1 or watched.reports <= 2)
            marks = who != MASTER and is_often
            sentence = f"{subject} {words}, in {over} of {watched.reports} reports."
            found.append(SelfCheckWarning(who, limit.metric, sentence, marks))
    if watched.ports_exhausted:
        sentence = (
            f"{subject} ran out of local ports {watched.ports_exhausted:,} times: "
            "give several addresses of its machine with --source-address, widen net.ipv4.ip_local_port_range, "
            "use fewer users or add workers on other machines."
        )
        found.append(SelfCheckWarning(who, "ports_exhausted", sentence, True))
    if watched.files_exhausted:
        sentence = f"{subject} ran out of file descriptors {watched.files_exhausted:,} times: raise `ulimit -n`."
        found.append(SelfCheckWarning(who, "files_exhausted", sentence, True))
    elif watched.files:
        sentence = f"{subject} has {watched.files} file descriptors open: raise `ulimit -n` before adding users."
        found.append(SelfCheckWarning(who, "open_files", sentence, False))
    return found
