"""A master process of the simulation: a real Coordinator whose data, disk, listeners and totals are models."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inference_swarm.cluster import coordinator as c
from inference_swarm.cluster import events as e
from inference_swarm.cluster.presence import may_wait
from inference_swarm.cluster.protocol import Envelope, Report, RunOffer
from inference_swarm.cluster.run_common import reason_against_start
from inference_swarm.cluster.state import Coordinator, CoordinatorConfig, Phase
from inference_swarm.measure.totals import Applied
from inference_swarm.run.course import CountedReport, RunCourse
from tests.simulation.clock import Clock
from tests.simulation.echo import Echo
from tests.simulation.load_model import Counted

OFFER = RunOffer({}, {})
LATE = (
    *(e.DataRead, e.DataRefused, e.ResultsOpened, e.ResultsRefused),
    *(e.TestStarted, e.ResultsWritten, e.ResultsFailed),
)


@dataclass(slots=True)
class SimTotals:
    """Sums of one run, each report once."""

    run_id: str
    counted: int = 0
    arrivals: int = 0
    possible_duplicates: int = 0
    sequences: dict[str, set[int]] = field(default_factory=dict)
    finals: dict[str, int] = field(default_factory=dict)

    def apply(self, snapshot: CountedReport) -> Applied:
        assert isinstance(snapshot, Counted)
        if snapshot.run_id != self.run_id:
            return Applied.STALE
        seen = self.sequences.setdefault(snapshot.worker, set())
        if snapshot.sequence in seen:
            return Applied.DUPLICATE
        seen.add(snapshot.sequence)
        if snapshot.is_final:
            self.finals[snapshot.worker] = snapshot.sequence
        attempts = snapshot.ended + snapshot.abandoned
        self.counted += attempts
        self.arrivals += attempts + snapshot.dropped
        self.possible_duplicates += snapshot.possible_duplicates
        return Applied.COUNTED

    def expect(self, worker: str) -> None:
        self.sequences.setdefault(worker, set())

    def has_counted(self, worker: str, sequence: int) -> bool:
        return sequence in self.sequences.get(worker, ())

    def is_complete_for(self, worker: str) -> bool:
        final = self.finals.get(worker)
        return final is not None and len(self.sequences[worker]) == final + 1

    def incomplete_workers(self) -> Mapping[str, str]:
        return {worker: "no final report" for worker in self.sequences if not self.is_complete_for(worker)}

    def has_workers(self) -> bool:
        return bool(self.sequences)

    def arrivals_accounted(self) -> int:
        return self.arrivals - self.possible_duplicates


@dataclass(slots=True)
class RunLog:
    """What became of one wish for a run."""

    asked_s: float
    began_s: float | None = None
    ended_s: float | None = None
    writing_s: float | None = None
    outcome: str = ""
    times_written: int = 0
    course: RunCourse | None = None
    problems: tuple[str, ...] = ()
    measured_s: float = 0.0
    counted: int = 0


class SimMaster:
    """Dies; everything else the coordinator decides."""

    def __init__(
        self, clock: Clock, rng: random.Random, world: Any, send: Callable[[str, Envelope], None], *, is_finite: bool
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.world = world
        self.send = send
        self.state = Coordinator(
            CoordinatorConfig(
                ends_after_run=is_finite, boot="boot", few_workers=world.few_workers, calm_workers=world.calm_workers
            )
        )
        self.is_dead = False
        self.is_frozen = False
        self.is_ended = False
        self.exit_code: int | None = None
        self.runs: dict[str, RunLog] = {}
        self.refused_edits = 0
        self._inbox: deque[Any] = deque()
        self._unread: list[tuple[str, Envelope]] = []
        self._behind_since_s = math.inf
        self._echo = Echo(clock, f"{world.seed} master", LATE, self.feed, lambda: world.network.is_faulty)
        self._is_stepping = False
        self._is_ending = False
        self._wake_s = -1.0
        clock.after(0.0, self._tick)

    def receive(self, worker: str, envelope: Envelope) -> None:
        """A message of a worker."""
        if self._behind_since_s < math.inf:
            self._unread.append((worker, envelope))
            return
        message = envelope.message
        if isinstance(message, Report):
            read_s = self.rng.random() * self.world.mishaps.read_s
            event = e.Reported(worker, envelope.session, message, message.snapshot["counted"])
            if read_s:
                self.clock.after(read_s, lambda: self.feed(event))
            else:
                self.feed(event)
        else:
            self.feed(e.Received(worker, envelope.session, message))

    def feed(self, event: e.Event) -> None:
        """An event; while frozen it waits."""
        if self.is_dead or (self.is_ended and not self._is_ending):
            return
        self._echo.hear(event)
        self._inbox.append(event)
        if not self.is_frozen:
            self._work()

    @property
    def is_absent(self) -> bool:
        """It does nothing, or hears nothing."""
        return self.is_frozen or self._behind_since_s < math.inf

    def fall_behind(self) -> None:
        """It has too much to do: messages wait from now on, its clock goes on."""
        self._behind_since_s = min(self._behind_since_s, self.clock.now_s)

    def catch_up(self) -> None:
        """It reads what has waited."""
        since_s, self._behind_since_s = self._behind_since_s, math.inf
        unread, self._unread = self._unread, []
        for worker, envelope in unread:
            if not may_wait(envelope.message, since_s, self.clock.now_s):
                self.receive(worker, envelope)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.is_frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.is_frozen = False
        self._wake_s = -1.0
        if self.rng.random() < 0.5:
            self._tick()
        self._work()
        self._tick()

    def start(self, run_id: str) -> None:
        """Somebody presses Start."""
        if self.is_dead or (self.is_ended and not self._is_ending):
            return
        if self.rng.random() < 0.3 and reason_against_start(self.state):
            return  # the web UI asks first, and shows the reason
        self.runs[run_id] = RunLog(self.clock.now_s)
        self.feed(e.Start(run_id, self.world.load_of(run_id), self.world.classes, SimTotals(run_id)))

    def _work(self) -> None:
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inbox and not self.is_dead:
                event = self._inbox.popleft()
                actions = c.step(self.state, event, self.clock.now_s)
                for action in actions:
                    self._do(action)
        finally:
            self._is_stepping = False
        wake_s = c.wake_s(self.state, self.clock.now_s)
        if self._wake_s < 0 or wake_s < self._wake_s:
            self._wake_s = wake_s
            self.clock.at(wake_s, self._tick)

    def _tick(self) -> None:
        if self.is_dead or self.is_frozen or self.clock.now_s < self._wake_s:
            return
        self._wake_s = -1.0
        self.feed(e.Tick(self._behind_since_s))

    def _later(self, longest_s: float, event: e.Event) -> None:
        self.clock.after(self.rng.random() * longest_s, lambda: self.feed(event))

    def _do(self, action: e.Action) -> None:
        world, rng = self.world, self.rng
        match action:
            case e.Send(worker, session, message):
                self.send(worker, Envelope(session, message))
            case e.ReadData(run_id):
                longest_s = 0.1 if world.mishaps.is_hasty else 2.0
                if rng.random() < world.refusals:
                    self._later(longest_s, e.DataRefused(run_id, "no such file"))
                else:
                    self._later(longest_s, e.DataRead(run_id, world.block_rows, OFFER))
            case e.OpenResults(run_id):
                if rng.random() < world.refusals:
                    self._later(1.0, e.ResultsRefused(run_id, "read-only"))
                else:
                    self._later(world.disk_s, e.ResultsOpened(run_id))
            case e.NotifyTestStart(run_id):
                if rng.random() >= world.stuck_listeners:
                    self._later(world.listener_s, e.TestStarted(run_id))
            case e.BeginLoad(run_id, began_s):
                world.began(self, run_id)
                self.runs[run_id].began_s = began_s
            case e.EndLoad(run_id):
                self.runs[run_id].ended_s = self.clock.now_s
            case e.WriteResults(run_id):
                self._write(run_id)
            case e.Closed(run_id, failure):
                self._settle(run_id, "failed" if failure else "written")
                world.mishaps.next_run(self)
            case e.Refuse(run_id, reason, _):
                assert reason, "a refusal says why"
                if run_id:
                    self._settle(run_id, "refused")
                else:
                    self.refused_edits += 1
            case e.Cancelled(run_id):
                self._settle(run_id, "cancelled")
            case e.WorkerGone(worker, reason):
                world.has_lost |= bool(reason)
                if reason.startswith("not heard"):
                    world.check_silent(worker)
            case e.EndProcess(code):
                self.is_ended = self._is_ending = True
                self.clock.after(self.rng.random(), self._end)
                self.exit_code = None if code is None else int(code)
            case _:
                pass

    def _write(self, run_id: str) -> None:
        log, job = self.runs[run_id], self.state.job
        assert job is not None
        assert self.state.phase is Phase.CLOSING
        log.times_written += 1
        log.writing_s = self.clock.now_s
        log.course = job.course
        log.measured_s = job.course.measured_s(self.clock.now_s)
        log.problems = tuple(job.course.problems(log.measured_s))
        assert isinstance(job.course.totals, SimTotals)
        log.counted = job.course.totals.counted
        if not log.counted:  # the verdict says so by itself
            log.problems += ("nothing was sent",)
        if self.rng.random() < self.world.write_failures:
            self._later(self.world.disk_s, e.ResultsFailed(run_id, "disk full"))
        else:
            self._later(self.world.disk_s, e.ResultsWritten(run_id))

    def _end(self) -> None:
        self._is_ending = False

    def _settle(self, run_id: str, outcome: str) -> None:
        log = self.runs[run_id]
        self.world.require(not log.outcome, f"run {run_id} was {log.outcome} and then {outcome}")
        log.outcome = outcome
