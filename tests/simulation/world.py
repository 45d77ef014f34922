"""One schedule: a swarm, what people do to it, what goes wrong, all drawn from one seed; and what must hold in it.

The nine invariants stand beside the code that checks them, in `check_*` and `Judgement`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from inference_swarm.cluster import events as e
from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.protocol import PROTOCOL_VERSION, Envelope, Hello, HoldRows, ReleaseRun, SetUsers
from inference_swarm.cluster.run_probe import is_asking
from inference_swarm.cluster.state import LEASE_S, Phase
from inference_swarm.load.arrivals import NS_PER_S, ArrivalProcess, Schedule
from inference_swarm.load.stages import Stage, Stages
from inference_swarm.load.steps import LoadStep
from inference_swarm.load.trace_schedule import TraceSchedule
from inference_swarm.run.course import LoadPlan, StopCause
from tests.simulation.clock import Clock
from tests.simulation.load_model import Truth
from tests.simulation.mishaps import Mishaps
from tests.simulation.network import Network
from tests.simulation.sim_master import RunLog, SimMaster, SimTotals
from tests.simulation.sim_worker import SimWorker
from tests.simulation.trace_loads import draw_trace_load, with_limit

QUIET_S = 8.0
# A heartbeat comes every second, or every other, and what was lost is said again in reply to it.
DELIVERY_S, CALM_DELIVERY_S = 1.5, 2.5
SAMPLE_S = 1.0
SETTLE_S = 12.0
LONG_SETTLE_S = 75.0
READ_S = 2.0
# A server replies within 4 s; two messages in a row may be lost.
ASKED_WITHIN_S = 15.0
# How long after a fault or a wish of a person a swarm may need, at most, to be still.
CLOSE_WITHIN_S = 75.0
# A process that was frozen may send for a moment before it sees what time it is.
LEASE_SLACK_S = 0.05
# What a worker says is known to the master after this time, if nothing is lost.
NOTICE_S = 1.0
# A request takes 6 s, a silent worker is lost after 5 s, and another one needs a moment to get what it left.
STILL_S = 15.0
# Orders of users may be lost, which a master knows when it is not told within a lease that they are followed.
UNATTENDED_S = LEASE_S + SAMPLE_S


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Plan:
    """What happens in a schedule, for the trace."""

    lines: list[tuple[float, str]] = field(default_factory=list)


class World:
    """Build it with a seed, then `run`."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.rng = rng = random.Random(seed)
        self.trace = trace
        self.clock = Clock()
        # how bad a world it is
        calm = rng.random() < 0.3
        self.refusals = 0.0 if calm else rng.choice((0.0, 0.0, 0.1))
        self.write_failures = 0.0 if calm else rng.choice((0.0, 0.0, 0.2))
        self.stuck_listeners = 0.0 if calm else rng.choice((0.0, 0.0, 0.0, 0.2))
        self.disk_s = rng.choice((0.05, 0.05, 4.0))
        self.listener_s = rng.choice((0.01, 0.01, 3.0))
        self.load_s = rng.choice((0.1, 0.5, 2.0))
        self.service_s = rng.choice((0.3, 0.7, 1.5, 6.0))
        self.block_rows = [rng.randint(1, 6) for _ in range(rng.randint(1, 12))]
        self.classes = (UserClass("A"),) if rng.random() < 0.8 else (UserClass("A", 2), UserClass("B", 1))
        delay_s = rng.choice((0.002, 0.02, 0.15))
        self.drops = 0.0 if calm else rng.choice((0.0, 0.0, 0.03))
        duplicates = 0.0 if calm else rng.choice((0.0, 0.03))
        # Drawn apart, so that the other draws of a seed are what they were before servers were asked.
        self.probe_rng = random.Random(f"{seed} probe")
        self.server_refusals = 0.0 if calm else self.probe_rng.choice((0.0, 0.1))
        self.requests_rng = random.Random(f"{seed} requests")
        self.trace_rng = random.Random(f"{seed} trace")
        self.size_rng = random.Random(f"{seed} size")
        # Above this number of workers a swarm is a large one.
        self.few_workers = self.size_rng.choice((1, 50, 50))
        # Above this number heartbeats come half as often.
        self.calm_workers = random.Random(f"{seed} beats").choice((1, 500, 500))
        self.lacks_files = self.size_rng.random() < 0.05
        self.asking_since_s: dict[str, float] = {}
        self.answered: set[str] = set()  # runs of which a worker knows that the server takes them
        self.network = Network(self.clock, rng, delay_s, self.drops, duplicates)
        self._loads: dict[str, LoadPlan] = {}
        self.any_load = LoadPlan(1, 1.0)
        self._truths: dict[str, Truth] = {}
        self.workers: dict[str, SimWorker] = {}
        self.masters: list[SimMaster] = []
        self.faults = 0
        self.released_s = 0.0
        self.last_fault_s = 0.0
        self.lossy_until_s = 0.0
        self.joined_s = 0.0
        self.has_lost = False  # a worker was lost at some time, by whatever master
        self.is_hurt = False  # something stood still or was cut at some time
        self.is_finite = rng.random() < 0.25
        self.is_massacre = not calm and rng.random() < 0.03
        self.is_late_start = rng.random() < 0.2
        self.mishaps = Mishaps(self, calm)
        self._new_master()
        for _ in range(rng.randint(1, 4)):
            self.new_worker()
        self._plan(calm)
        self.clock.at(3.0, self._sample_loop)

    # the parts

    @property
    def master(self) -> SimMaster:
        return self.masters[-1]

    def truth(self, run_id: str) -> Truth:
        """What really happened in a run."""
        if run_id not in self._truths:
            self._truths[run_id] = Truth()
        return self._truths[run_id]

    def draw_files_limit(self) -> int:
        """How many files a worker may open; 0 where nobody knows."""
        return self.size_rng.randint(101, 106) if self.lacks_files and self.size_rng.random() < 0.7 else 0

    def add_load(self, run_id: str) -> None:
        """A run that nobody planned."""
        self._loads[run_id] = LoadPlan(self.rng.randint(1, 6), 100.0, 3.0)

    def load_of(self, run_id: str) -> LoadPlan:
        """The load of a run."""
        return self._loads[run_id]

    def _new_master(self) -> None:
        master = SimMaster(self.clock, self.rng, self, self._send_down, is_finite=self.is_finite)
        self.masters.append(master)

    def new_worker(self, swarm: str = "") -> None:
        self.joined_s = self.clock.now_s
        name = f"w{len(self.workers)}"
        boot = "boot" if self.rng.random() < 0.7 else ""
        worker = SimWorker(name, self.clock, self.rng, self, self._send_up, swarm=swarm, boot=boot)
        worker.fails_to_load = self.faults > 0 and self.rng.random() < 0.15
        self.workers[name] = worker

    def _foreign_hello(self) -> None:
        """A worker of another release."""
        hello = Hello(PROTOCOL_VERSION - 1, "old", 1, "", "host", 1, 1)
        self.master.receive("unknown peer", Envelope(1, hello))

    def _send_up(self, worker: str, envelope: Envelope) -> None:
        if self.trace is not None:
            self.say(lambda: f"{worker} -> {envelope.session} {envelope.message}")
        if not self.mishaps.loses(envelope.message):
            self.network.send(worker, True, envelope, self._arrive_up)
        self.mishaps.sends(worker, envelope.message)

    def _send_down(self, worker: str, envelope: Envelope) -> None:
        if self.trace is not None:
            self.say(lambda: f"   -> {worker} {envelope.session} {envelope.message}")
        if isinstance(envelope.message, ReleaseRun):
            self.released_s = self.clock.now_s
        if isinstance(envelope.message, HoldRows) and envelope.message.blocks:
            member = self.master.state.members.get(worker)
            self.require(member is None or not member.is_leaving, f"{worker} is leaving and gets rows")
        if not self.mishaps.loses(envelope.message):
            self.network.send(worker, False, envelope, self._arrive_down)

    def _arrive_up(self, worker: str, envelope: Envelope) -> None:
        self.master.receive(worker, envelope)

    def _arrive_down(self, worker: str, envelope: Envelope) -> None:
        if worker in self.workers:
            self.workers[worker].receive(worker, envelope)

    def say(self, line: Callable[[], str]) -> None:
        """For the trace of a replayed seed."""
        if self.trace is not None:
            self.trace(f"{self.clock.now_s:9.3f} {line()}")

    # what happens

    def _plan(self, calm: bool) -> None:
        rng = self.rng
        time_s = 1.5 + rng.random()
        for number in range(1 if self.is_finite else rng.randint(1, 3)):
            run_id = f"r{number}"
            load = replace(self._draw_load(), asks_server=self.probe_rng.random() < 0.3)
            if not load.is_open and self.lacks_files:
                load = replace(load, connections_each=1)
            if load.is_open and self.trace_rng.random() < 0.4:
                load = draw_trace_load(load, self.trace_rng)
            self._loads[run_id] = load = self._with_requests(load)
            self.do_at(time_s, f"start {run_id} {load}", lambda run_id=run_id: self.master.start(run_id))
            length_s = load.length_s or rng.uniform(1.0, 8.0)
            if load.length_s is None or rng.random() < 0.3:
                stop_s = time_s + self.mishaps.patience_s + rng.uniform(0.0, length_s + 4.0)
                cause = rng.choice((StopCause.ASKED, StopCause.ASKED, StopCause.ABORTED))
                self.do_at(stop_s, f"stop ({cause})", lambda cause=cause: self.master.feed(e.StopAsked(cause)))
                time_s = stop_s + rng.choice((0.0, 0.1, rng.uniform(0, 10.0)))
            else:
                time_s += length_s + rng.uniform(-1.0, 10.0)
            if rng.random() < 0.2:
                reset_s = time_s - rng.uniform(0.0, length_s + 1.0)
                self.do_at(reset_s, "reset", lambda: self.master.feed(e.ResetStatistics()))
            if load.first_step is not None:
                for _ in range(rng.randint(1, 4)):
                    rate_rps = rng.choice((2.0, 5.0, 20.0)) if load.is_open else 0.0
                    change = e.SetLoad(run_id, rate_rps, rng.randint(1, 8), 1.0)
                    at_s = time_s - rng.uniform(0.0, length_s + 1.0)
                    self.do_at(
                        at_s, f"load {change}", lambda change=change: self.disturb(lambda: self.master.feed(change))
                    )
            elif load.stages is None and not load.is_open and rng.random() < 0.3:
                users, edit_s = rng.randint(1, 8), time_s - rng.uniform(0.0, length_s + 1.0)
                edit = e.Edit(users, rng.choice((1.0, 5.0, 50.0)))
                self.do_at(edit_s, f"edit {users}", lambda edit=edit: self.disturb(lambda: self.master.feed(edit)))
        if not calm:
            for _ in range(rng.randint(1, 5)):
                self._plan_fault(rng.uniform(0.2, time_s + 2.0))
        if self.is_massacre:
            self.do_at(rng.uniform(2.0, time_s), "everybody dies", lambda: self.disturb(self._kill_all))
        time_s = self.mishaps.plan(time_s)
        if rng.random() < 0.1:
            stale = e.Edit(3, 5.0, None, "another run")
            self.do_at(rng.uniform(1.0, time_s), "stale edit", lambda: self.master.feed(stale))
        self.end_s = time_s + 3.0

    def _kill_all(self) -> None:
        self.is_hurt = True
        for worker in self.workers.values():
            worker.die()

    def _with_requests(self, load: LoadPlan) -> LoadPlan:
        """Some runs end with a number of requests."""
        requests = self.requests_rng.randint(1, 60)
        if self.requests_rng.random() > 0.3 or load.is_once or load.first_step is not None:
            return load
        schedule = load.schedule
        if isinstance(schedule, TraceSchedule):
            schedule = with_limit(schedule, requests, load.length_s)
        elif schedule is not None:
            schedule = Schedule(schedule.process, schedule.rate, schedule.seed, limit=requests)
        return replace(load, requests=requests, schedule=schedule)

    def _draw_load(self) -> LoadPlan:
        rng = self.rng
        kind = rng.choice(("closed", "closed", "once", "open", "stages"))
        length_s = rng.choice((None, rng.uniform(2.0, 12.0), rng.uniform(2.0, 12.0)))
        stop_timeout_s = rng.choice((0.0, 1.0, 8.0))
        users, rate = rng.randint(1, 6), rng.choice((1.0, 3.0, 100.0))
        common = {"load_timeout_s": rng.choice((1.0, 20.0, 20.0)), "stop_timeout_s": stop_timeout_s}
        if kind == "open":
            rps = rng.choice((5.0, 20.0))
            shape = Stages.constant(rps) if length_s is None else Stages.constant(rps, length_s)
            schedule = Schedule(ArrivalProcess.CONSTANT, shape, 1)
            if length_s is None:
                common["first_step"] = LoadStep(0, 1_000_000_000, rps)
            return LoadPlan(
                users, float(users), length_s, None, schedule, drop_after_s=rng.choice((0.5, 2.0)), **common
            )
        if kind == "stages":
            steps = [
                Stage(rng.uniform(1.0, 4.0), rng.randint(0, 5), rng.randint(1, 6)) for _ in range(rng.randint(1, 3))
            ]
            stages = Stages(tuple(steps))
            return LoadPlan(users, 50.0, stages.duration_s, stages, None, **common)
        batch_size = random.Random(f"{self.seed} batch").choice((1, 1, 2, 5))
        if kind == "closed" and length_s is None and rng.random() < 0.3:
            common["first_step"] = LoadStep(0, 1_000_000_000, 0.0)
        return LoadPlan(users, rate, length_s, None, None, kind == "once", batch_size, **common)

    def _plan_fault(self, time_s: float) -> None:
        rng = self.rng
        kind = rng.choice(
            (
                "foreign",
                "crash",
                "freeze",
                "cut",
                "cut",
                "one-way",
                "join",
                "join",
                "leave",
                "master-freeze",
                "master-crash",
                "quit",
            )
        )
        pause_s = rng.choice((rng.uniform(0.1, 3.0), rng.uniform(3.0, 9.0)))
        if kind == "quit" and rng.random() < 0.5:
            kind = "join"
        self.do_at(time_s, f"{kind} {pause_s:.2f}", lambda: self.disturb(lambda: self._fault(kind, pause_s)))

    def _fault(self, kind: str, pause_s: float) -> None:
        rng = self.rng
        alive = [worker for worker in self.workers.values() if not worker.is_dead]
        self.is_hurt |= kind not in ("join", "leave", "foreign", "quit")
        if kind == "join":
            self.faults += 1
            self.new_worker()
        elif kind == "foreign":
            self.new_worker("another swarm")
            self._foreign_hello()
        elif kind == "quit":
            self.master.feed(e.Quit(ends_workers=rng.random() < 0.5))
        elif kind == "master-freeze":
            master = self.master
            master.freeze()
            self.clock.after(pause_s, lambda: self.disturb(master.thaw))
        elif kind == "master-crash":
            if self.is_finite or self.master.is_ended:
                return
            self.master.is_dead = True
            for run_id, log in self.master.runs.items():
                self.say(
                    lambda run_id=run_id, log=log: f"{run_id} was {log.outcome or 'under way'} when its master died"
                )
            self._new_master()
        elif alive:
            worker = rng.choice(alive)
            if kind == "crash":
                worker.die()
            elif kind == "leave":
                worker.end()
            elif kind == "freeze":
                worker.freeze()
                self.clock.after(pause_s, lambda: self.disturb(worker.thaw))
            else:
                ways = [True, False] if kind == "cut" else [rng.random() < 0.5]
                for is_up in ways:
                    self.network.cut(worker.name, is_up)
                self.clock.after(pause_s, lambda: self.disturb(lambda: self.heal(worker.name)))

    def heal(self, worker: str) -> None:
        self.network.heal(worker)

    def disturb(self, deed: Callable[[], None]) -> None:
        self.last_fault_s = self.clock.now_s
        deed()

    def do_at(self, time_s: float, what: str, deed: Callable[[], None]) -> None:
        def act() -> None:
            self.say(lambda: f"---- {what}")
            deed()

        self.clock.at(max(0.0, time_s), act)

    def run(self) -> None:
        """Everything up to the end, and what must hold in it. Raises Broken."""
        self.clock.run_until(self.end_s)
        if self.network.is_lossy or self.mishaps.order_loss:
            self.lossy_until_s = self.end_s
        self.network.is_faulty = False
        self._heal_all()
        self.clock.run_until(self.end_s + (LONG_SETTLE_S if self.is_massacre else SETTLE_S))
        for worker in self.workers.values():
            worker.thaw()
        if self.master.is_frozen:
            self.master.thaw()
        delivery_s = CALM_DELIVERY_S if len(self.workers) > self.calm_workers else DELIVERY_S
        if self.mishaps.is_hasty and self.master.is_ended:
            delivery_s += LEASE_S  # a release that was lost is said by nobody again
        while (arrived_s := self.released_s + delivery_s) > self.clock.now_s:
            self.clock.run_until(arrived_s)
        self._check_rows_released()
        self.say(lambda: "---- everybody is told to end")
        self.master.feed(e.Quit(ends_workers=True))
        if self.is_late_start:
            self._loads["late"] = LoadPlan(1, 1.0)
            self.master.start("late")
        self.clock.run_until(self.clock.now_s + CLOSE_WITHIN_S)
        Judgement(self).check()

    def open_channel(self, worker: str) -> None:
        """A new connection: what is under way on the old one may come later than what is sent now."""
        for is_up in (True, False):
            self.network.direction(worker, is_up).last_s = 0.0

    def _heal_all(self) -> None:
        for worker in self.workers:
            self.heal(worker)
        if self.master.is_absent:
            self.disturb(self.master.catch_up)

    # invariants that are checked while it happens

    def require(self, holds: bool, otherwise: str) -> None:
        """Raises Broken unless it holds."""
        if not holds:
            raise Broken(f"seed {self.seed}, at {self.clock.now_s:.3f} s: {otherwise}")

    def began(self, master: SimMaster, run_id: str) -> None:
        """1. No two runs overlap."""
        under_way = [other for other, log in master.runs.items() if log.began_s is not None and not log.outcome]
        self.require(not under_way, f"{run_id} begins while {under_way} is under way")
        is_asked = not self.load_of(run_id).asks_server or run_id in self.answered
        self.require(is_asked, f"{run_id} begins, and nobody has asked the server")
        self.require(not master.runs[run_id].outcome, f"{run_id} begins though it was {master.runs[run_id].outcome}")

    def check_lease(self, worker: SimWorker, now_s: float) -> None:
        """3. A worker without a master sends no more when its lease is over, or as soon as it runs again."""
        state = worker.state
        self.require(
            now_s <= max(state.lease_until_s, worker.thawed_s) + LEASE_SLACK_S or not state.users,
            f"{worker.name} sends without a lease since {state.lease_until_s:.3f} s",
        )

    def check_partition(self, worker: str, order: SetUsers) -> None:
        """6. Arrivals go where users are: elsewhere they could only be dropped."""
        has_arrivals = order.partition is not None and bool(order.partition.indexes)
        self.require(not has_arrivals or any(order.users.values()), f"{worker} gets arrivals and has no users")

    def check_silent(self, name: str) -> None:
        """5. A worker whose users are given to others sends no more: at most the wanted users run."""
        worker = self.workers[name]
        self.require(
            worker.is_frozen or not worker.users, f"{name} was marked lost and runs {worker.users} users all the same"
        )

    def _sample_loop(self) -> None:
        self._check_progress()
        self._check_requests_go_on()
        self._sample_users()
        self._sample_unattended()
        self.clock.after(SAMPLE_S, self._sample_loop)

    def _check_progress(self) -> None:
        """1. A run that is being prepared is not prepared for ever."""
        job, state = self.master.state.job, self.master.state
        if job is None or self.master.is_absent or state.phase is not Phase.PREPARING:
            return
        if job.rows is not None:
            job.rows.states()  # as those do who watch
        if not is_asking(job):
            self.asking_since_s.pop(job.run_id, None)
        else:
            asked_s = max(self.asking_since_s.setdefault(job.run_id, self.clock.now_s), self.last_fault_s)
            self.require(self.clock.now_s - asked_s < ASKED_WITHIN_S, f"{job.run_id} asks since {asked_s:.3f} s")
        since_s = max(job.since_s, self.last_fault_s)
        limit_s = READ_S if job.rows is None else job.load.load_timeout_s
        self.require(self.clock.now_s - since_s < limit_s + 2.0, f"{job.run_id} is prepared since {since_s:.3f} s")

    def _check_requests_go_on(self) -> None:
        """9. Requests that are left are sent by somebody: the run does not wait for ever."""
        state, job = self.master.state, self.master.state.job
        if state.phase is not Phase.RUNNING or job is None or job.load.requests is None:
            return
        assert job.course.began_s is not None
        is_hurt = any(worker.is_frozen for worker in self.workers.values()) or self.master.is_absent
        senders = [worker for worker in self.workers.values() if worker.users and worker.state.run_id == job.run_id]
        if is_hurt or self.network.is_cut or self._loses_orders or not senders:
            return
        last_s = max(self.truth(job.run_id).last_begun_s, self.last_fault_s, self.lossy_until_s)
        since_s = max(last_s, self.joined_s, job.course.began_s)
        self.require(self.clock.now_s - since_s < STILL_S, f"{job.run_id} has sent nothing since {since_s:.3f} s")

    @property
    def _loses_orders(self) -> bool:
        """Orders about users may be lost several times in a row."""
        return bool(self.mishaps.order_loss) and self.network.is_faulty

    def _sample_users(self) -> None:
        """5. Exactly the wanted number of users run from 8 s after the last fault; rows follow users."""
        state, job = self.master.state, self.master.state.job
        is_lossy = self.network.is_lossy or self._loses_orders
        if state.phase is not Phase.RUNNING or job is None or job.load.stages is not None or is_lossy:
            return
        assert job.course.began_s is not None
        assert job.rows is not None
        users, rate = job.wanted
        calm_since_s = max(self.last_fault_s, self.lossy_until_s, job.course.began_s, self.joined_s) + users / rate
        is_hurt = any(worker.is_frozen for worker in self.workers.values()) or self.master.is_absent
        if self.clock.now_s - calm_since_s < QUIET_S or is_hurt or self.network.is_cut or job.course.failures:
            return
        able = [
            one for one in self.workers.values() if not (one.is_dead or one.state.is_leaving or one.state.config.swarm)
        ]
        hosts = job.rows.hosts()
        wanted = min(len(able), users, len(self.block_rows))
        self.require(len(hosts) >= wanted, f"{len(hosts)} of {len(able)} workers have rows for {users} users")
        running = sum(worker.users for worker in able if worker.state.run_id == job.run_id)
        self.require(running == users or not able, f"{running} users run, {users} are wanted")
        idle = [name for name in job.rows.workers if not self.workers[name].users]
        self.require(not idle or len(hosts) < len(job.rows.workers), f"{idle} hold rows and run no users")

    def _sample_unattended(self) -> None:
        """7. How long there is nobody who could send: a load that is not there has to be said."""
        state, job = self.master.state, self.master.state.job
        if state.phase is not Phase.RUNNING or job is None or not job.wanted[0]:
            return
        assert job.course.began_s is not None
        if self.clock.now_s > job.course.began_s + (job.load.length_s or math.inf):
            return  # a master that stands still ends the run later
        workers, truth = self.workers.values(), self.truth(job.run_id)
        there = [one for one in workers if one.users and one.state.run_id == job.run_id and not one.is_frozen]
        if not any(one.has_rows for one in there):
            truth.unattended_s += SAMPLE_S
        if there or self.clock.now_s <= job.course.began_s + SAMPLE_S:
            truth.gap_s = 0.0
            return
        truth.gap_s += SAMPLE_S
        truth.longest_gap_s = max(truth.longest_gap_s, truth.gap_s)

    def _check_rows_released(self) -> None:
        """3. Nothing is held for a run that is over: neither rows in memory nor loading that goes on."""
        job = self.master.state.job
        run_id = "" if job is None else job.run_id
        for worker in self.workers.values():
            is_idle = not worker.is_dead and worker.state.is_joined and not worker.state.is_leaving
            self.require(
                not is_idle or worker.state.run_id in ("", run_id), f"{worker.name} holds {worker.state.run_id}"
            )


class Judgement:
    """What must hold of every run when everything is over."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._require = world.require

    def check(self) -> None:
        world = self._world
        for master in world.masters:
            if not master.is_dead:
                self._require(master.is_ended, f"the master does not end: it is {master.state.phase}")
        for worker in world.workers.values():
            self._require(worker.is_dead or not worker.users, f"{worker.name} still runs {worker.users} users")
        for master in world.masters:
            for run_id, log in master.runs.items():
                if not master.is_dead:
                    self._check_run(run_id, log)

    def _check_run(self, run_id: str, log: RunLog) -> None:
        """1. A run that began ends, its results are written once (or the failure to write them is its outcome).

        2. A wish for a run is refused in words, cancelled or begins; it is never lost.
        """
        require = self._require
        require(bool(log.outcome), f"nobody knows what became of {run_id}")
        if log.began_s is not None:
            require(log.outcome in ("written", "failed"), f"{run_id} began and was {log.outcome}")
        if log.outcome in ("written", "failed"):
            require(log.times_written == 1, f"the results of {run_id} were written {log.times_written} times")
        else:
            require(not log.times_written, f"{run_id} was {log.outcome} and has results")
            require(not self._world.truth(run_id).served, f"{run_id} was {log.outcome} and has sent requests")
        if log.began_s is not None:
            self._check_numbers(run_id, log)

    def _check_numbers(self, run_id: str, log: RunLog) -> None:
        """3. Nothing that was stopped sends again.

        4. Served = counted when nobody died; otherwise counted <= served <= counted + what the result says.
        7. A run in which something is not known, or a worker could not do its part, is never passed.
        """
        truth, course, require = self._world.truth(run_id), log.course, self._require
        assert course is not None
        assert log.writing_s is not None
        served = sum(truth.served.values())
        require(
            truth.last_begun_s <= log.writing_s,
            f"{run_id} sent at {truth.last_begun_s:.3f} s, closed at {log.writing_s:.3f} s",
        )
        require(log.counted <= served, f"{run_id}: {log.counted} counted, {served} served")
        missing = course.possibly_uncounted()
        if missing is not None:
            require(
                served <= log.counted + missing, f"{run_id}: {served} served, {log.counted} counted, {missing} perhaps"
            )
        if not log.problems:
            require(served == log.counted, f"{run_id} has no problem, {served} served, {log.counted} counted")
        if course.load.requests is not None:
            self._check_requests(run_id, log)
        if course.load.is_open:
            self._check_arrivals(run_id, log)
        if course.load.is_once:
            self._check_rows(run_id, log)
        self._check_verdict(run_id, log)

    def _check_requests(self, run_id: str, log: RunLog) -> None:
        """9. Never more than the number asked for are sent, and exactly that number when nobody was lost."""
        course, served = log.course, sum(self._world.truth(run_id).served.values())
        assert course is not None
        assert course.load.requests is not None
        assert course.stop is not None
        self._require(served <= course.load.requests, f"{run_id}: {served} of {course.load.requests} requests sent")
        is_sure = not (self._world.has_lost or course.losses or course.failures or course.load.is_open)
        if (not log.problems or is_sure) and course.stop.cause is StopCause.ALL_REQUESTS:
            assert isinstance(course.totals, SimTotals)
            dropped = course.totals.arrivals - course.totals.counted
            self._require(
                served + dropped == course.load.requests,
                f"{run_id}: {served} sent and {dropped} dropped of {course.load.requests} requests, and no problem",
            )

    def _check_arrivals(self, run_id: str, log: RunLog) -> None:
        """6. Every arrival of an open load is sent, dropped or unaccounted; every attempt has an outcome."""
        truth, course = self._world.truth(run_id), log.course
        assert course is not None
        if isinstance(course.load.schedule, TraceSchedule):
            self._check_trace(run_id, log, course.load.schedule)
        twice = sum(times - 1 for times in truth.arrivals.values())
        totals = course.totals
        duplicates = course.possible_duplicates + totals.possible_duplicates
        wanted, known = course.arrivals_wanted(log.measured_s), totals.arrivals_accounted()
        if not log.problems:
            # Those of the last moment may be on either side of the end.
            self._require(known >= wanted, f"{run_id}: {wanted} arrivals wanted, {known} known, and no problem")
            self._require(not twice, f"{run_id}: {twice} arrivals were sent twice, and no problem")
        else:
            self._require(twice <= duplicates, f"{run_id}: {twice} arrivals sent twice, {duplicates} admitted")

    def _check_trace(self, run_id: str, log: RunLog, schedule: TraceSchedule) -> None:
        """6. What is sent for a trace was recorded, and a trace that came to its end was sent or dropped to its end."""
        truth, course = self._world.truth(run_id), log.course
        assert course is not None
        other = [at_ns for at_ns in truth.arrivals if not schedule.between(at_ns, at_ns + 1).offsets_ns.size]
        self._require(not other, f"{run_id}: sent at {other} ns, which the trace does not have")
        sent, served = sum(truth.arrivals.values()), sum(truth.served.values())
        self._require(sent == served, f"{run_id}: {served} requests for {sent} arrivals of the trace")
        is_whole = (course.load.length_s or 0.0) >= schedule.trace.offsets_ns[-1] / NS_PER_S and schedule.limit is None
        if is_whole and not log.problems:
            known = course.totals.arrivals_accounted()
            self._require(known >= len(schedule.trace), f"{run_id}: {known} of {len(schedule.trace)} rows, no problem")

    def _check_rows(self, run_id: str, log: RunLog) -> None:
        """8. Order once sends each row at least once, twice at most where it says so, and is incomplete otherwise."""
        truth, course = self._world.truth(run_id), log.course
        assert course is not None
        assert course.once is not None
        twice = sum(times - 1 for times in truth.rows.values())
        once = course.once
        self._require(once.planned == sum(self._world.block_rows), f"{run_id}: {once.planned} rows planned")
        self._require(
            once.planned == once.sent + once.maybe_sent + once.never_sent, f"{run_id}: {once} does not add up"
        )
        self._require(once.sent <= len(truth.rows), f"{run_id}: {once} and {len(truth.rows)} rows were sent")
        self._require(
            len(truth.rows) <= once.sent + once.maybe_sent, f"{run_id}: {once} and {len(truth.rows)} rows were sent"
        )
        self._require(twice <= once.possible_duplicates, f"{run_id}: {twice} rows sent again, {once}")
        if not log.problems:
            self._require(len(truth.rows) == once.planned, f"{run_id}: {len(truth.rows)} of {once.planned} rows sent")

    def _check_verdict(self, run_id: str, log: RunLog) -> None:
        """7. What a person must know is said; and nothing is said where nothing happened."""
        course = log.course
        assert course is not None
        stop = course.stop
        assert stop is not None
        if stop.cause in (StopCause.ASKED, StopCause.SIGNAL, StopCause.ABORTED, StopCause.NO_WORKERS):
            is_short = course.load.has_end or stop.cause in (StopCause.ABORTED, StopCause.NO_WORKERS)
            self._require(not is_short or bool(log.problems), f"{run_id} was stopped early, and no word of it")
        assert log.ended_s is not None or log.began_s is None or course.ended_s is not None
        truth, ended_s = self._world.truth(run_id), course.ended_s or 0.0
        failed = [worker for worker, at_s in truth.failed.items() if at_s < ended_s - NOTICE_S]
        is_known = not self._world.is_hurt and not self._world.drops
        self._require(
            not failed or not is_known or bool(log.problems),
            f"{run_id}: {failed} could not load rows, and no word of it",
        )
        is_by_number = course.load.is_once or course.load.requests is not None
        self._require(
            is_by_number or truth.longest_gap_s <= UNATTENDED_S or bool(log.problems),
            f"{run_id}: nobody ran users for {truth.longest_gap_s:.0f} s, and no word of it",
        )
        self._require(
            not is_known or course.unattended_s <= truth.unattended_s + 2 * SAMPLE_S,
            f"{run_id}: nobody ran users for {truth.unattended_s:.0f} s, not {course.unattended_s:.1f}",
        )
