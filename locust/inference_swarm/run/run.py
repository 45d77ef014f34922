"""A run as its keeper (master or single process) sees it: identity, settings, data, totals."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from inference_swarm.config.settings import Settings
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.judge.conclusion import Conclusion, conclude
from inference_swarm.judge.objectives import Objective
from inference_swarm.judge.self_check import SelfCheck
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
    maybe_missing: dict[str, int] = field(default_factory=dict)
    """Requests of a lost worker that may have been sent and are not counted, at most."""
    once: OnceNumbers | None = None

    @property
    def began_s(self) -> float:
        return self.began_ns / NS_PER_S

    @property
    def duration_s(self) -> float:
        """The measured time, so far or in all."""
        return max(0.0, (self.ended_s or time.monotonic()) - self.began_s)

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
        """How many the schedule of an open load held, and the rate that was asked for."""
        if self.schedule is None or not self.duration_s:
            return None
        rate_rps = self.schedule.rate.amount_until(self.duration_s) / self.duration_s
        return self.schedule.count_until(round(self.duration_s * NS_PER_S)), rate_rps

    def conclude(self) -> Conclusion:
        """What can be said of it by now; final once every worker's final report is in."""
        owed = {**self.totals.incomplete_workers(), **self.lost_workers}
        because = [f"worker {worker}: {what}" for worker, what in owed.items()]
        if not self.totals.workers:
            because = ["no worker took part"]
        return conclude(self.totals.names, self.duration_s, self.objectives, incomplete_because=because)
