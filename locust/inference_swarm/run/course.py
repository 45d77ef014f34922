"""The course of a run: when it began, why it ended, which workers were lost, what is unknown. Kept by the coordinator.

Values only: no clock, no files, no Locust. Results, pages and recovery are made from it (see run.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from inference_swarm.data.progress import OnceNumbers
from inference_swarm.load.arrivals import Schedule
from inference_swarm.load.stages import Stages
from inference_swarm.load.steps import LoadStep, rate_of_steps
from inference_swarm.measure.totals import Applied

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """The load and its duration, by which the coordinator decides. `stages` are those of users in a closed load."""

    users: int
    spawn_rate: float
    length_s: float | None = None
    stages: Stages | None = None
    schedule: Schedule | None = None
    is_once: bool = False
    batch_size: int = 1
    load_timeout_s: float = 600.0
    stop_timeout_s: float = 0.0
    drop_after_s: float = 0.0
    requests: int | None = None
    """How many requests the whole swarm sends, if that ends the run."""
    first_step: LoadStep | None = None
    """The load is decided while the run goes on, and begins with this."""
    asks_server: bool = False
    """Whether a worker asks the server before the run: waits until it is ready, or sends it one row, or both."""
    connections_each: int = 0
    """How many connections each user has all the time; 0: as many as it happens to need."""
    is_shape: bool = False
    """A LoadTestShape of the locustfile decides the users, and when the load ends."""

    @property
    def is_open(self) -> bool:
        """True when requests are sent at a rate, not by users who wait for responses."""
        return self.schedule is not None

    @property
    def has_end(self) -> bool:
        """True when the run ends by itself."""
        has_measure = self.length_s is not None or self.requests is not None
        return has_measure or self.is_once or self.is_shape or self.first_step is not None


class StopCause(StrEnum):
    """Why the load of a run ended."""

    FINISHED = "finished"
    ALL_SENT = "all rows were sent"
    ALL_REQUESTS = "all requests were sent"
    ASKED = "stopped by a person"
    SIGNAL = "the master was asked to end"
    NO_WORKERS = "no worker was left"
    ABORTED = "aborted"
    KILLED = "the master was killed"


ENDS_BY_NUMBER = (StopCause.ALL_SENT, StopCause.ALL_REQUESTS)


@dataclass(frozen=True, slots=True)
class Stop:
    """The cause of a stop; `text` has details if there are any."""

    cause: StopCause
    at_s: float = 0.0  # since the run began
    text: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that was lost, or did not deliver its last report.

    `possibly_uncounted`: the maximum of requests that it may have sent uncounted; None when no bound is known.
    `possible_duplicates`: the maximum of arrivals among them that others sent as well, as only its report could tell.
    """

    reason: str
    possibly_uncounted: int | None
    possible_duplicates: int = 0

    @property
    def sentence(self) -> str:
        if self.possibly_uncounted is None:
            return f"{self.reason}; how much it sent since then is not known"
        if not self.possibly_uncounted:
            return f"{self.reason}; no request of it is missing"
        return f"{self.reason}; up to {self.possibly_uncounted:,} of its requests may not be counted"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was changed during the run; `at_s` since it began."""

    at_s: float
    what: str


class CountedReport(Protocol):
    """The part of a worker's snapshot that the coordinator reads."""

    @property
    def ended(self) -> int:
        """Requests with an outcome since the last report."""

    @property
    def in_flight(self) -> int:
        """Requests that had begun and not ended at its end."""

    @property
    def user_seconds(self) -> float:
        """Users times the seconds they ran, since the last report."""

    @property
    def end_s(self) -> float:
        """The end of what it counts, in seconds since the run began."""


class Totals(Protocol):
    """The part of the totals that the coordinator uses."""

    def apply(self, snapshot: Any) -> Applied:  # a CountedReport, of the kind that these totals add up
        """Count a snapshot unless it was counted before or belongs to another run."""

    def expect(self, worker: str) -> None:
        """Expect the worker's final report, without which nothing is complete."""

    def is_complete_for(self, worker: str) -> bool:
        """Return whether the worker's final report and every one before it are in."""

    def has_counted(self, worker: str, sequence: int) -> bool:
        """Return whether this report of the worker is in."""

    def incomplete_workers(self) -> Mapping[str, str]:
        """Return what is missing of each incomplete worker, in words."""

    def has_workers(self) -> bool:
        """True when some worker was expected."""

    def arrivals_accounted(self) -> int:
        """Arrivals of an open load that were sent or dropped, each once, by the reports that are in."""

    possible_duplicates: int
    """Arrivals that two workers may have sent, since one learned too late that they were no longer its own."""


@dataclass(slots=True)
class RunCourse:
    """The course of one run. Instants are seconds of the master's monotonic clock."""

    run_id: str
    load: LoadPlan
    totals: Totals
    began_s: float | None = None
    ended_s: float | None = None
    stop: Stop | None = None
    losses: dict[str, Loss] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Workers that could not load rows in mid-run, and why."""
    untold_duplicates: int = 0
    """Arrivals of an open load that a worker may have sent though they had passed to others, without knowing it."""
    has_listener_failed: bool = False
    """A listener of the locustfile on the master, or another part of it, raised an exception before the results."""
    answers_unwritten: str = ""
    """Why answers that were to be recorded are in no file."""
    once: OnceNumbers | None = None
    unattended_s: float = 0.0
    """How long users were wanted and no worker ran any, at least."""
    requests_unsent: int = 0
    """With a number of requests: what a lost worker had left of them when nobody could send any more."""
    changes: list[Change] = field(default_factory=list)
    steps: tuple[LoadStep, ...] = ()
    """Of a load that is decided while the run goes on."""

    def __post_init__(self) -> None:
        if not self.steps and self.load.first_step is not None:
            self.steps = (self.load.first_step,)

    def add_step(self, step: LoadStep) -> None:
        """The load is another one from an instant on, which lies ahead."""
        self.steps = (*self.steps, step)
        if self.load.schedule is not None:
            self.load = replace(self.load, schedule=self.load.schedule.with_rate(rate_of_steps(self.steps)))

    @property
    def possible_duplicates(self) -> int:
        """The maximum of arrivals sent twice that no report tells of."""
        return self.untold_duplicates + sum(loss.possible_duplicates for loss in self.losses.values())

    def measured_s(self, now_s: float) -> float:
        """The measured time, so far or in all."""
        if self.began_s is None:
            return 0.0
        end_s = now_s if self.ended_s is None else self.ended_s
        if self.load.length_s is not None:
            end_s = min(end_s, self.began_s + self.load.length_s)
        return max(0.0, end_s - self.began_s)

    @property
    def is_interrupted(self) -> bool:
        """True when it ended before its planned end, by any cause."""
        if self.stop is None:
            return False
        if self.began_s is None:
            return True
        if self.stop.cause in (StopCause.FINISHED, *ENDS_BY_NUMBER):
            return False
        if self.stop.cause in (StopCause.NO_WORKERS, StopCause.ABORTED, StopCause.KILLED):
            return True
        return self.load.has_end

    def possibly_uncounted(self) -> int | None:
        """The maximum of requests that lost workers may have sent uncounted; None when no bound is known."""
        total = 0
        for loss in self.losses.values():
            if loss.possibly_uncounted is None:
                return None
            total += loss.possibly_uncounted
        return total

    def arrivals_wanted(self, measured_s: float) -> int:
        """The number of arrivals in the schedule of an open load; 0 for a closed one."""
        schedule = self.load.schedule
        return 0 if schedule is None else schedule.count_until(round(measured_s * NS_PER_S))

    def arrivals_unaccounted(self, measured_s: float) -> int:
        """The number of arrivals that no worker reported as sent or dropped."""
        return max(0, self.arrivals_wanted(measured_s) - self.totals.arrivals_accounted())

    def interruption(self) -> str:
        """Why the run ended before its own end, in words; empty if it did not."""
        if not self.is_interrupted or self.stop is None:
            return ""
        length_s, stop = self.load.length_s, self.stop
        planned = f" of {length_s:g} s" if length_s is not None else ""
        more = f": {stop.text}" if stop.text else ""
        if self.began_s is None:
            return f"stopped before anything was sent ({stop.cause}{more})"
        return f"interrupted after {stop.at_s:.1f} s{planned} ({stop.cause}{more})"

    def unknowns(self) -> list[str]:
        """What is unknown of the run, or which worker could not do its part; one sentence each."""
        found = [f"worker {worker}: {loss.sentence}" for worker, loss in self.losses.items()]
        found += [f"worker {worker} has failed: {reason}" for worker, reason in self.failures.items()]
        if self.has_listener_failed:
            found.append(
                "a listener of the locustfile raised an exception, so what it is for was not done: see the log"
            )
        if self.answers_unwritten:
            found.append(f"answers were not recorded: {self.answers_unwritten}")
        is_by_number = self.load.is_once or self.load.requests is not None  # others send later what is to be sent
        if self.unattended_s and not (is_by_number and (self.stop is None or self.stop.cause in ENDS_BY_NUMBER)):
            found.append(f"for at least {self.unattended_s:.1f} s no worker ran users")
        if self.once is not None and (maybe := self.once.maybe_sent):
            found.append(f"of {maybe:,} rows it is not known whether they were sent")
        if twice := self.possible_duplicates + self.totals.possible_duplicates:
            found.append(f"{twice:,} arrivals may have been sent twice: a worker heard too late whose they were")
        return found

    def incompleteness(self) -> list[str]:
        """What is unknown or missing of the run, which names each worker once; one sentence each."""
        missing = self.totals.incomplete_workers()
        found = self.unknowns()
        found += [f"worker {worker}: {what}" for worker, what in missing.items() if worker not in self.losses]
        if self.requests_unsent:
            found.append(
                f"of {self.load.requests or 0:,} requests {self.requests_unsent:,} were for a worker that was lost: "
                "they were not sent, or nobody knows"
            )
        if self.began_s is not None and not self.totals.has_workers():
            found.append("no worker took part")
        return found

    def problems(self, measured_s: float) -> list[str]:
        """Everything for which the run is not complete; with any of it the run is never passed."""
        found = [*filter(None, [self.interruption()]), *self.incompleteness()]
        if self.once is not None and self.once.never_sent:
            found.append(f"{self.once.never_sent:,} of {self.once.planned:,} rows were never sent")
        if unaccounted := self.arrivals_unaccounted(measured_s):
            found.append(f"of {unaccounted:,} arrivals nobody knows whether they were sent")
        return found
