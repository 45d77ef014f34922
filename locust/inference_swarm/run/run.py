"""The one record of a run: its plan, data, course and numbers. Summary, pages, checkpoint and recovery are views of it.

Values, but for the clock of a run that is under way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from inference_swarm.config.documents import Document
from inference_swarm.data.progress import OnceNumbers
from inference_swarm.judge.capacity.answer import capacity_verdict
from inference_swarm.judge.capacity.result import CapacityResult, read_result, write_result
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.self_check import SelfCheck, is_generator_bottleneck
from inference_swarm.judge.stages import StageResult, judge_stages
from inference_swarm.judge.verdict import RunFacts, Status, Verdict, judge, with_results
from inference_swarm.measure.server_metrics import ServerSeries
from inference_swarm.measure.snapshot import Snapshot, WorkerHealth
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.ab import AbResult, judge_ab
from inference_swarm.run.capacity import CapacityCourse
from inference_swarm.run.course import NS_PER_S, Change, Loss, RunCourse, Stop, StopCause
from inference_swarm.run.plan import RunPlan, stages_of
from inference_swarm.run.scenario import ScenarioResult, judge_scenario, with_scenario


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The data that was sent: source (without secrets), rows, blocks and the fingerprint of the content.

    `notes` are the decisions about files and columns. `request` and `curl` show the request of the first row, without
    secrets; empty where there is none to show.
    """

    source: str
    rows: int
    blocks: int
    fingerprint: str
    notes: Sequence[str] = ()
    request: str = ""
    curl: str = ""


@dataclass(frozen=True, slots=True)
class RequestNumbers:
    """`asked` = `sent` + `maybe_sent` + `never_sent`. maybe_sent: a lost worker may have sent so many uncounted."""

    asked: int
    sent: int
    maybe_sent: int
    never_sent: int


@dataclass(slots=True)
class Run:
    """One run, from its first request on. `totals` are those of its course."""

    plan: RunPlan
    data: DataRecord
    course: RunCourse
    totals: SwarmTotals
    folder: Path
    started_unix_s: float = 0.0
    self_check: SelfCheck = field(default_factory=SelfCheck)
    master_health: WorkerHealth = field(default_factory=WorkerHealth)
    capacity: CapacityCourse | None = None
    """The search for a capacity, if this run is one."""
    saved_capacity: CapacityResult | None = None
    """Recovered: how far the search had come."""
    server: ServerSeries | None = None
    """The server's own metrics, if they were asked for."""
    frozen_s: float | None = None
    """Recovered: how long the run had gone on at its last checkpoint."""

    @property
    def run_id(self) -> str:
        return self.course.run_id

    @property
    def duration_s(self) -> float:
        """The time of the load, so far or in all, with its warm-up."""
        return self.course.measured_s(time.monotonic()) if self.frozen_s is None else self.frozen_s

    @property
    def measured_s(self) -> float:
        """The time in which requests count: without the warm-up; with order `once`, that in which rows were sent.

        The same for a closed load that `--requests` ends.
        """
        stop = self.course.stop
        is_by_number = stop is not None and stop.cause is StopCause.ALL_REQUESTS and not self.plan.load.is_open
        if (self.plan.load.is_once or is_by_number) and (sending_s := self.totals.total().sending_s):
            return sending_s
        return max(0.0, self.duration_s - self.totals.epoch_start_s)

    def observe(self, snapshot: Snapshot) -> None:
        """Take in a worker's report that was counted."""
        self.self_check.observe(snapshot.worker, snapshot.health)
        if self.capacity is not None:
            self.capacity.take(snapshot)

    def capacity_result(self) -> CapacityResult | None:
        """Return what a search for a capacity has come to; None if this run is none."""
        found = self.saved_capacity if self.capacity is None else self.capacity.result()
        if found is not None and found.outcome is None and self.course.stop is not None:
            return replace(found, outcome=Outcome.UNSETTLED, why="it was stopped")
        return found

    def ab_result(self) -> AbResult | None:
        """Return what an A/B run has come to; None if this run is none."""
        return judge_ab(self.plan.settings, self.totals)

    def scenario_result(self) -> ScenarioResult | None:
        """Return what a run of a scenario has come to; None for another."""
        plan, total = self.plan, self.totals.total()
        return judge_scenario(plan.settings, plan.sources, total, self.measured_s, self.capacity_result())

    def request_numbers(self) -> RequestNumbers | None:
        """Return what became of the requests of `--requests`, those of a warm-up among them; None without it."""
        asked = self.plan.settings.requests
        if asked is None:
            return None
        counters = [one for names in (self.totals.names, self.totals.left_out) for one in names.values()]
        sent, maybe = sum(one.sent for one in counters), self.course.possibly_uncounted()
        maybe_sent = max(0, asked - sent if maybe is None else min(maybe, asked - sent))
        return RequestNumbers(asked, sent, maybe_sent, max(0, asked - sent - maybe_sent))

    @property
    def losses(self) -> dict[str, str]:
        """Return the workers that could not do their part, and the consequences."""
        course = self.course
        failed = {worker: f"has failed: {reason}" for worker, reason in course.failures.items()}
        return {**failed, **{worker: loss.sentence for worker, loss in course.losses.items()}}

    def arrivals_wanted(self) -> tuple[int, float] | None:
        """Return the arrivals in the schedule of an open load since the warm-up, and the wanted rate."""
        schedule, start_s, end_s = self.course.load.schedule, self.totals.epoch_start_s, self.duration_s
        if schedule is None or end_s <= start_s:
            return None
        amount = schedule.rate.amount_until(end_s) - schedule.rate.amount_until(start_s)
        counts = [schedule.count_until(round(at_s * NS_PER_S)) for at_s in (start_s, end_s)]
        return counts[1] - counts[0], amount / (end_s - start_s)

    def verdict(self) -> Verdict:
        """Return the verdict on the run when it has ended."""
        course, wanted = self.course, self.arrivals_wanted()
        is_aborted = course.stop is not None and course.stop.cause is StopCause.ABORTED
        scenario = self.scenario_result()
        shortfall = "" if scenario is None else scenario.shortfall
        facts = RunFacts(
            measured_s=self.measured_s,
            unaccounted=0 if wanted is None else self.totals.unaccounted(wanted[0]),
            never_sent=0 if course.once is None else course.once.never_sent,
            is_open=self.plan.load.is_open,
            is_generator_bound=is_generator_bottleneck(self.self_check.warnings()),
            aborted_because=course.stop.text if is_aborted and course.stop is not None else "",
            interrupted_because="" if is_aborted else course.interruption(),
            has_connected=self.totals.has_connected,
            incomplete_because=(*course.incompleteness(), *((shortfall,) if shortfall else ())),
            others=self.totals.others,
        )
        found = self.capacity_result()
        if found is None:
            verdict = judge(self.totals.names, self.plan.objectives, facts)
            ab = self.ab_result()
            return verdict if ab is None else with_results(verdict, ab.results)
        # What steps above the capacity did to requests is what they were for; that nothing could be sent is not.
        whole = judge(self.totals.names, (), facts)
        is_run = whole.status not in (Status.UNREACHABLE, Status.ABORTED, Status.INTERRUPTED, Status.NOTHING_SENT)
        return with_scenario(capacity_verdict(found), scenario) if is_run else whole

    def stages(self) -> tuple[StageResult, ...]:
        """Return the result of each reached stage; none where the load has no stages."""
        stages = stages_of(self.plan.settings)
        if stages is None:
            return ()
        return judge_stages(
            self.totals,
            stages,
            self.plan.objectives,
            is_open=self.plan.load.is_open,
            end_s=self.duration_s,
            is_generator_bound=is_generator_bottleneck(self.self_check.warnings()),
        )

    def verdict_so_far(self) -> Verdict:
        """Return the verdict on a run under way, against which missing last reports do not count."""
        if (found := self.capacity_result()) is not None:
            return capacity_verdict(found)
        facts = RunFacts(
            measured_s=self.totals.duration_s or self.measured_s,
            is_open=self.plan.load.is_open,
            is_generator_bound=is_generator_bottleneck(self.self_check.warnings()),
            has_connected=self.totals.has_connected,
            incomplete_because=tuple(self.course.unknowns()),
            others=self.totals.others,
        )
        return judge(self.totals.names, self.plan.objectives, facts)

    # checkpoint and recovery

    def to_state(self, once: OnceNumbers | None) -> Document:
        """Return what changes during the run, as a dict that msgpack can carry; `once`: its account by now."""
        course, found = self.course, self.capacity_result()
        return {
            "duration_s": self.duration_s,
            "stop": None if course.stop is None else asdict(course.stop),
            "losses": {worker: asdict(loss) for worker, loss in course.losses.items()},
            "failures": dict(course.failures),
            "untold_duplicates": course.untold_duplicates,
            "unattended_s": course.unattended_s,
            "has_listener_failed": course.has_listener_failed,
            "once": None if once is None else asdict(once),
            "changes": [asdict(change) for change in course.changes],
            "self_check": self.self_check.to_state(),
            "master_health": asdict(self.master_health),
            "capacity": None if found is None else write_result(found),
            "totals": self.totals.to_state(),
        }

    @classmethod
    def from_state(
        cls, plan: RunPlan, data: DataRecord, run_id: str, started_unix_s: float, folder: Path, state: Document
    ) -> Self:
        """Read what `to_state` wrote. Raises KeyError, TypeError, ValueError or ProtocolError for anything else."""
        totals = SwarmTotals.from_state(state["totals"])
        duration_s = float(state["duration_s"])
        course = RunCourse(run_id, plan.load, totals, began_s=0.0, ended_s=duration_s)
        stop, once = state["stop"], state["once"]
        course.stop = None if stop is None else Stop(StopCause(stop["cause"]), float(stop["at_s"]), str(stop["text"]))
        course.losses = {str(worker): Loss(**loss) for worker, loss in state["losses"].items()}
        course.failures = {str(worker): str(reason) for worker, reason in state["failures"].items()}
        course.untold_duplicates = int(state["untold_duplicates"])
        course.unattended_s = float(state.get("unattended_s", 0.0))
        course.has_listener_failed = bool(state["has_listener_failed"])
        course.once = None if once is None else OnceNumbers(**once)
        course.changes = [Change(**change) for change in state["changes"]]
        run = cls(plan, data, course, totals, folder, started_unix_s)
        run.self_check = SelfCheck.from_state(state["self_check"])
        run.master_health = WorkerHealth(**state["master_health"])
        run.saved_capacity = None if state.get("capacity") is None else read_result(state["capacity"])
        run.frozen_s = duration_s
        return run
