"""A run as its keeper (master or single process) sees it: identity, settings, data, totals."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.judge.objectives import Objective
from inference_swarm.judge.self_check import SelfCheck, is_generator_bottleneck
from inference_swarm.judge.verdict import RunFacts, Verdict, judge_totals
from inference_swarm.load.arrivals import Schedule
from inference_swarm.measure.snapshot import Snapshot, WorkerHealth
from inference_swarm.measure.totals import Applied, SwarmTotals

NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Run:
    """One run under way."""

    run_id: str
    settings: Settings
    source: str
    manifest: Manifest
    totals: SwarmTotals
    objectives: list[Objective] = field(default_factory=list)
    schedule: Schedule | None = None
    length_s: float | None = None
    self_check: SelfCheck = field(default_factory=SelfCheck)
    master_health: WorkerHealth = field(default_factory=WorkerHealth)
    began_ns: int = 0
    ended_s: float = 0.0
    started_unix_s: float = 0.0
    folder: Path | None = None
    lost_workers: dict[str, str] = field(default_factory=dict)
    possibly_uncounted: dict[str, int] = field(default_factory=dict)
    """Requests of a lost worker that may have been sent and are not counted, at most."""
    once: OnceNumbers | None = None
    interrupted_because: str = ""
    """Why the run ended before its time, empty if it did not."""
    aborted_because: str = ""
    """Which condition of `--abort-when` ended the run."""

    @property
    def began_s(self) -> float:
        return self.began_ns / NS_PER_S

    @property
    def duration_s(self) -> float:
        """The time of the load, so far or in all, with its warm-up."""
        return max(0.0, (self.ended_s or time.monotonic()) - self.began_s)

    @property
    def measured_s(self) -> float:
        """The time in which requests count: without the warm-up; with order `once`, that in which rows were sent."""
        if self.settings.row_order == "once" and (sending_s := self.totals.total().sending_s):
            return sending_s
        return max(0.0, self.duration_s - self.totals.epoch_start_s)

    def apply(self, snapshot: Snapshot) -> Applied:
        """Counts a worker's report once."""
        applied = self.totals.apply(snapshot)
        if applied is Applied.COUNTED:
            self.self_check.observe(snapshot.worker, snapshot.health)
        return applied

    def end_load(self) -> None:
        """The measured time ends."""
        if not self.ended_s:
            self.ended_s = time.monotonic()
            if self.length_s and self.schedule is not None:
                self.ended_s = min(self.ended_s, self.began_s + self.length_s)

    def arrivals_wanted(self) -> tuple[int, float] | None:
        """How many the schedule of an open load held since the warm-up, and the rate that was asked for."""
        start_s, end_s = self.totals.epoch_start_s, self.duration_s
        if self.schedule is None or end_s <= start_s:
            return None
        amount = self.schedule.rate.amount_until(end_s) - self.schedule.rate.amount_until(start_s)
        counts = [self.schedule.count_until(round(at_s * NS_PER_S)) for at_s in (start_s, end_s)]
        return counts[1] - counts[0], amount / (end_s - start_s)

    def verdict(self) -> Verdict:
        """What can be said of it when it has ended and every worker's final report is in."""
        because = [f"worker {worker}: {what}" for worker, what in self.lost_workers.items()]
        if self.once is not None and self.once.maybe_sent:
            because.append(f"{self.once.maybe_sent:,} rows may not have been sent")
        wanted = self.arrivals_wanted()
        facts = RunFacts(
            measured_s=self.measured_s,
            unaccounted=0 if wanted is None else self.totals.unaccounted(wanted[0]),
            never_sent=0 if self.once is None else self.once.never_sent,
            is_open=self.schedule is not None,
            is_generator_bound=is_generator_bottleneck(self.self_check.warnings()),
            aborted_because=self.aborted_because,
            interrupted_because=self.interrupted_because,
            incomplete_because=tuple(because),
        )
        return judge_totals(self.totals, self.objectives, facts)
