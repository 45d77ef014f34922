"""A worker process of the simulation: a real Agent whose rows, users and connection are models."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from inference_swarm.cluster import agent as agents
from inference_swarm.cluster import agent_events as a
from inference_swarm.cluster.agent_state import Agent, AgentConfig
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import (
    Envelope,
    HoldRows,
    OnceReport,
    Partition,
    RequestsUsed,
    RowsLoading,
    RowsReady,
    SetUsers,
    TargetProbed,
    numbers_in,
)
from inference_swarm.data.progress_worker import OnceShare
from inference_swarm.load.allowance import AHEAD_S, Need, RequestAllowance, RequestUse
from inference_swarm.load.arrivals import NO_PART, ArrivalProcess, Part, Schedule, Share
from inference_swarm.load.stages import Stages
from inference_swarm.load.steps import LoadStep, rate_of_steps
from tests.simulation.clock import Clock
from tests.simulation.echo import Echo
from tests.simulation.load_model import Counted, Users

NS = 1_000_000_000
ONCE_REPORT_S = 0.5
REQUESTS_S = 0.5
THAW_S = 0.01
LATE = (
    a.RowsAreReady,
    a.RowsAreLoading,
    a.RowsCouldNotLoad,
    a.OnceProgressed,
    a.RequestsCounted,
    a.UsersStopped,
    a.SnapshotTaken,
    a.TargetIsProbed,
)


class SimWorker:
    """Dies, freezes and ends; everything else the agent decides."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        rng: random.Random,
        world: Any,
        send: Callable[[str, Envelope], None],
        *,
        swarm: str = "",
        boot: str = "boot",
    ) -> None:
        self.name = name
        self.clock = clock
        self.rng = rng
        self.world = world
        self.send = send
        self.state = Agent(AgentConfig(name, swarm=swarm, files_limit=world.draw_files_limit()), MasterClock(boot))
        self.is_dead = False
        self.is_frozen = False
        self.fails_to_load = False
        self.exit_code: int | None = None
        self._reported_s = 0.0  # when all listeners of reports have been told
        self._inbox: deque[Any] = deque()
        self._echo = Echo(clock, f"{world.seed} {name}", LATE, self.feed, lambda: world.network.is_faulty)
        self._is_stepping = False
        self._wake_s = -1.0
        # the run
        self._load = world.any_load
        self._held: tuple[int, ...] = ()
        self._hold_count = 0
        self._once: OnceShare | None = None
        self._gathered: list[tuple[int, int]] = []  # order once: rows (block, number) of the batch that has begun
        self._users: Users | None = None
        self._allowance: RequestAllowance | None = None
        self._share: Share | None = None
        self._open_busy: deque[float] = deque()  # ends of the requests in flight
        self._due: deque[int] = deque()  # arrivals that wait for a free user
        self._open_ended = self._open_abandoned = self._open_dropped = 0
        self._began_s = 0.0
        self._steps_known = 1
        self._schedule = Schedule(ArrivalProcess.CONSTANT, Stages.constant(1.0), 1)
        self._run_id = ""
        self._sequence = 0
        self._last: Counted | None = None
        self._user_seconds = 0.0
        self._users_since_s = 0.0
        self._lease_s = 0.0
        self.thawed_s = -1.0
        clock.after(rng.random() * 0.5, self._tick)

    # events

    @property
    def users(self) -> int:
        """Users that run now."""
        return 0 if self.is_dead or self._users is None else self._users.count

    @property
    def has_rows(self) -> bool:
        """Whether its users can begin a request."""
        return bool(self._held)

    def receive(self, _: str, envelope: Envelope) -> None:
        """A message of the master."""
        if isinstance(envelope.message, SetUsers):
            self.world.check_partition(self.name, envelope.message)
        self.feed(envelope)

    def feed(self, event: Any) -> None:
        """An event; while frozen it waits."""
        if self.is_dead:
            return
        self._echo.hear(event)
        self._inbox.append(event)
        if not self.is_frozen:
            self._work()

    def _work(self) -> None:
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inbox and not self.is_dead:
                actions = agents.step(self.state, self._inbox.popleft(), self.clock.now_s)
                for action in actions:
                    self._do(action)
        finally:
            self._is_stepping = False
        self._plan_tick()

    def _tick(self) -> None:
        if self.is_dead or self.is_frozen or self.clock.now_s < self._wake_s:
            return
        self._wake_s = -1.0
        self.feed(a.AgentTick())

    def _plan_tick(self) -> None:
        wake_s = agents.wake_s(self.state, self.clock.now_s)
        if self._wake_s < 0 or wake_s < self._wake_s:
            self._wake_s = wake_s
            self.clock.at(wake_s, self._tick)

    # faults

    def die(self) -> None:
        """SIGKILL: what it has sent since its last report is known to nobody."""
        if not self.is_frozen:
            self._advance()
        self.is_dead = True

    def freeze(self) -> None:
        """SIGSTOP."""
        if not self.is_dead:
            self._advance()
            self.is_frozen = True

    def thaw(self) -> None:
        """SIGCONT: what has come meanwhile is there now."""
        if self.is_dead or not self.is_frozen:
            return
        self.is_frozen = False
        self.thawed_s = self.clock.now_s
        if self._users is not None:
            self._users.shift_to(self.clock.now_s)
        self._wake_s = -1.0
        if self.rng.random() < 0.5:
            self._tick()
        self._work()
        self._tick()

    def end(self) -> None:
        """SIGTERM."""
        self.feed(a.EndAsked("SIGTERM"))

    # actions

    def _do(self, action: a.AgentAction) -> None:
        match action:
            case a.SendToMaster(session, message):
                self.send(self.name, Envelope(session, message))
            case a.Hold(order):
                self._hold(order)
            case a.Probe(run_id):
                self._probe(run_id)
            case a.BeginRecording(run_id, began_s):
                self._begin(run_id, began_s)
            case a.LimitRequests(number, limit):
                self._advance()
                if self._allowance is not None:
                    self._allowance.grant(number, limit)
                self._advance()
            case a.SetPartition(partition):
                self._set_partition(partition)
            case a.SetSteps(steps):
                self._set_steps(steps)
            case a.ExtendLease(until_s):
                self._advance()
                self._lease_s = until_s
            case a.ApplyUsers(users):
                self._set_users(sum(users.values()))
            case a.StopUsers(token, until_s, is_at_once, _):
                self._stop_users(token, until_s, is_at_once)
            case a.TakeSnapshot(run_id, is_final):
                self._snapshot(run_id, is_final)
            case a.GiveBackRows():
                self._release_rows()
            case a.DropLeases():
                if self._once is not None:
                    self._advance()
                    self._release_rows()
            case a.AcknowledgeOnce(sequence):
                if self._once is not None:
                    self._once.acknowledged(sequence)
                    self._advance()
            case a.DropRows():
                self._held, self._once, self._gathered = (), None, []
                self._hold_count += 1
            case a.DropRecording():
                self._users = self._share = self._allowance = None
            case a.EndWorkerProcess(code):
                self.exit_code = int(code)
                self.clock.after(0.05, self.die)  # for the last message to be on its way
            case a.OpenChannel():
                self.world.open_channel(self.name)
            case _:
                pass

    # rows

    def _hold(self, order: HoldRows) -> None:
        self._advance()
        self._load = self.world.load_of(order.run_id)
        blocks = tuple(numbers_in(order.blocks))
        if self._load.is_once and self._once is None:
            self._once = OnceShare(self._load.batch_size)
            self._report_once(self._once)
        new = set(blocks) - set(self._held)
        gone = set(self._held) - set(blocks)
        self._held = blocks
        if self._once is not None:
            self._withdraw(self._once, gone)
            self._once.lease(order.block_leases())
        self._hold_count += 1
        count = self._hold_count
        pause_s = self.rng.random() * self.world.load_s if new else 0.0
        if new and self.fails_to_load:
            self.clock.after(pause_s, lambda: self._fail(order.run_id))
            return

        if pause_s > 0.3:
            loading = RowsLoading(order.run_id, order.generation, 0, 0, 0)
            self.clock.after(pause_s / 2, lambda: self.feed(a.RowsAreLoading(loading)))

        def ready() -> None:
            if count == self._hold_count:
                rows = len(blocks)
                self.feed(a.RowsAreReady(RowsReady(order.run_id, order.generation, len(blocks), rows, 0, 0.0, False)))
                self._advance()

        self.clock.after(pause_s, ready)

    def _fail(self, run_id: str) -> None:
        if not self.is_dead and self.state.run_id == run_id:
            self.world.truth(run_id).failed[self.name] = self.clock.now_s
            self.feed(a.RowsCouldNotLoad(run_id, "no such file"))

    def _probe(self, run_id: str) -> None:
        rng = self.world.probe_rng
        code = rng.choice((2, 5)) if rng.random() < self.world.server_refusals else 0

        def reply() -> None:
            if not (self.is_dead or code):
                self.world.answered.add(run_id)
            self.feed(a.TargetIsProbed(TargetProbed(run_id, code, "the server says so", is_warning=False)))

        self.clock.after(rng.choice((0.01, 0.5, 4.0)), reply)

    def _is_thawing(self) -> bool:
        return self.clock.now_s - self.thawed_s < THAW_S

    def _release_rows(self) -> None:
        if self._once is not None:
            self._withdraw(self._once, set(self._held))
        self._held = ()

    def _withdraw(self, once: OnceShare, gone: set[int]) -> None:
        for block, row in reversed(self._gathered):
            if block in gone:
                once.take_back(block, row)
        self._gathered = [(block, row) for block, row in self._gathered if block not in gone]
        once.release(gone)

    def _report_once(self, once: OnceShare) -> None:
        if self._once is not once or self.is_dead:
            return
        if not self.is_frozen:
            self._advance()
            if not once.is_done:
                sequence, progress = once.report()
                self.feed(a.OnceProgressed(self.state.run_id, sequence, progress))
        self.clock.after(ONCE_REPORT_S, lambda: self._report_once(once))

    def _take(self, now_s: float) -> object | None:
        """A request to send, of one row or a batch of them, if there is one now."""
        truth = self.world.truth(self._run_id)
        if self._once is None:
            if self._load.is_once or not (self._allowance is None or self._allowance.take_one()):
                return None
            truth.begin(self.name, now_s, is_thawing=self._is_thawing())
            return True
        size = self._load.batch_size
        for block in self._held:
            for row in self._once.give(block)[: size - len(self._gathered)]:
                self._once.sent(block)
                self._gathered.append((block, row))
        if not self._gathered or (len(self._gathered) < size and not self._once.is_given_out):
            return None
        truth.begin(self.name, now_s, is_thawing=self._is_thawing())
        taken, self._gathered = self._gathered, []
        for block, row in taken:
            key = block * 1000 + row
            truth.rows[key] = truth.rows.get(key, 0) + 1
        return self._once, taken

    @staticmethod
    def _done(request: object) -> None:
        if isinstance(request, tuple):
            once, rows = request
            for block, number in rows:
                once.done(block, number)

    # users

    def _begin(self, run_id: str, began_s: float) -> None:
        self._run_id, self._began_s, self._sequence = run_id, began_s, 0
        self._users = Users(self.world.service_s, self._take, self._done)
        self._user_seconds, self._users_since_s = 0.0, self.clock.now_s
        self._open_busy.clear()
        self._due.clear()
        self._open_ended = self._open_abandoned = self._open_dropped = 0
        self._share, self._steps_known = None, 1
        if self._load.schedule is not None:
            self._schedule = self._load.schedule
        self._lease_s = self.state.lease_until_s
        self._last = Counted(run_id, self.name, -1, False, 0.0)
        self._allowance = None
        if self._load.requests is not None:
            self._allowance = allowance = RequestAllowance()
            self.clock.after(0.0, lambda: self._report_requests(allowance))

    def _report_requests(self, allowance: RequestAllowance) -> None:
        if self._allowance is not allowance or self.is_dead:
            return
        if not self.is_frozen:
            self._advance()
            use = self._use_of(allowance)
            if allowance.is_to_be_told(use, self.clock.now_s):
                self.feed(a.RequestsCounted(RequestsUsed.of(self._run_id, use)))
        self.clock.after(REQUESTS_S, lambda: self._report_requests(allowance))

    def _use_of(self, allowance: RequestAllowance) -> RequestUse:
        users = self._users
        assert users is not None
        allowance.skip(self._open_dropped)
        ended = users.ended + users.abandoned + self._open_ended + self._open_abandoned + self._open_dropped
        if not self._load.is_open:
            return allowance.report(ended, allowance.need_of_users(users.count, self.clock.now_s), self.clock.now_s)
        need = Need(len(self._due))
        if self._share is not None:
            count, is_all = self._share.count_ahead(AHEAD_S)
            need = Need(len(self._due) + count, is_all)
        return allowance.report(ended, need, self.clock.now_s)

    def _set_partition(self, partition: Partition) -> None:
        self._advance()
        part = Part(partition.indexes, partition.count)
        if self._share is None:
            self._share = Share(self._schedule, part, partition.from_ns)
        else:
            self._share.change(part, partition.from_ns)

    def _set_steps(self, steps: tuple[LoadStep, ...]) -> None:
        if not self._load.is_open:
            return
        self._advance()
        known, self._steps_known = self._steps_known, len(steps)
        if self._share is None:
            self._schedule = self._schedule.with_rate(rate_of_steps(steps))
        elif len(steps) > known:
            schedule = self._share.schedule.with_rate(rate_of_steps(steps))
            self._open_dropped += len(self._share.follow(schedule, steps[known].from_ns))

    def _set_users(self, count: int) -> None:
        assert self._users is not None
        self._advance()
        if self._load.is_open:
            self._users.open_count = count
        else:
            self._users.set(count, self.clock.now_s)

    def _stop_users(self, token: int, until_s: float, is_at_once: bool) -> None:
        now_s = self.clock.now_s
        users = self._users
        if users is None:
            self.clock.after(0.0, lambda: self.feed(a.UsersStopped(token)))
            return
        self._advance()
        if self._share is not None:
            self._share.change(NO_PART, max(0, round((until_s - self._began_s) * NS)))
        if self._load.is_open:
            users.open_count = 0
            self._send_due(users, now_s)
        else:
            users.set(0, now_s)
        limit_s = now_s if is_at_once else now_s + self._load.stop_timeout_s
        last_s = max([users.last_end_s(now_s), *self._open_busy])

        def stopped() -> None:
            if self.is_dead:
                return
            if self.is_frozen:
                self.clock.after(0.2, stopped)
                return
            if token == self.state.token:
                self._advance()
                users.kill(self.clock.now_s)
                self._open_abandoned += len(self._open_busy)
                self._open_busy.clear()
            if self.rng.random() >= self.world.mishaps.stuck_users:
                self.feed(a.UsersStopped(token))

        self.clock.at(min(limit_s, last_s), stopped)

    def _advance(self) -> None:
        """Everything that users did up to now."""
        users, now_s = self._users, self.clock.now_s
        if users is None or self.is_dead or self.is_frozen:
            return
        if not self._load.is_open:
            count = users.count
            if users.count:
                self.world.check_lease(self, now_s)
            users.advance(now_s)
            self._user_seconds += count * (now_s - self._users_since_s)
        else:
            self._user_seconds += users.open_count * (now_s - self._users_since_s)
            self._advance_open(users, now_s)
        self._users_since_s = now_s

    def _advance_open(self, users: Users, now_s: float) -> None:
        if self._share is not None:
            until_ns = round((min(now_s, self._lease_s) - self._began_s) * NS)
            if until_ns > self._share.position_ns:
                for offset_ns in self._share.take(until_ns).tolist():
                    instant_s = self._began_s + offset_ns / NS
                    self._end_open(users, instant_s)
                    self._due.append(offset_ns)
                    self._send_due(users, instant_s)
        self._end_open(users, now_s)
        self._send_due(users, now_s)  # requests may have been granted since

    def _end_open(self, users: Users, now_s: float) -> None:
        """Requests that have ended by now; each leaves a user free for an arrival that waits."""
        while self._open_busy and self._open_busy[0] <= now_s:
            end_s = self._open_busy.popleft()
            self._open_ended += 1
            self._send_due(users, end_s)

    def _send_due(self, users: Users, now_s: float) -> None:
        truth = self.world.truth(self._run_id)
        while self._due and (not users.open_count or len(self._open_busy) < users.open_count):
            if users.open_count and self._allowance is not None and self._allowance.is_used_up:
                break
            offset_ns = self._due.popleft()
            waited_s = now_s - self._began_s - offset_ns / NS
            if not users.open_count or waited_s > self._load.drop_after_s:
                self._open_dropped += 1
                continue
            if self._allowance is not None:
                self._allowance.take_one()
            truth.begin(self.name, now_s)
            truth.arrivals[offset_ns] = truth.arrivals.get(offset_ns, 0) + 1
            self._open_busy.append(now_s + self.world.service_s)

    # reports

    def _snapshot(self, run_id: str, is_final: bool) -> None:
        if not is_final and self.clock.now_s < self._reported_s:
            return  # what is counted meanwhile is for the next one
        self._advance()
        now_s, users, last = self.clock.now_s, self._users, self._last
        if users is None or last is None or self._run_id != run_id:
            counted = Counted(run_id, self.name, 0, is_final, 0.0)
        else:
            counted = Counted(
                run_id,
                self.name,
                self._sequence,
                is_final,
                max(0.0, now_s - self._began_s),
                users.ended + self._open_ended - last.ended,
                users.abandoned + self._open_abandoned - last.abandoned,
                self._open_dropped - last.dropped,
                (self._share.possible_duplicates if self._share is not None else 0) - last.possible_duplicates,
                self._user_seconds - last.user_seconds,
                users.in_flight + len(self._open_busy),
            )
            self._sequence += 1
            for name in ("ended", "abandoned", "dropped", "possible_duplicates", "user_seconds"):
                setattr(last, name, getattr(last, name) + getattr(counted, name))
        once = None
        if is_final and self._once is not None:
            once = OnceReport.of(run_id, *self._once.report())
        requests = None
        if is_final and self._allowance is not None and self._run_id == run_id:
            requests = RequestsUsed.of(run_id, self._allowance.final_use(self._open_dropped))
        taken = a.SnapshotTaken(run_id, counted.sequence, is_final, {"counted": counted}, {}, once, requests)
        if not self.world.mishaps.are_listeners_slow:
            self.feed(taken)
            return
        self._reported_s = max(now_s, self._reported_s) + self.world.mishaps.listening_s()
        self.clock.after(self._reported_s - now_s, lambda: self.feed(taken))
