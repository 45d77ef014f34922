"""Carries out what a worker's agent decides: rows, users, numbers, messages. An edge: this process.

Used by a worker process, whose messages go over the network, and by a single process, which is its own master.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

from inference_swarm.cluster import agent
from inference_swarm.cluster.agent_events import (
    AcknowledgeOnce,
    AgentAction,
    AgentEvent,
    AgentNote,
    AgentTick,
    ApplyUsers,
    BeginRecording,
    DropLeases,
    DropRecording,
    DropRows,
    EndWorkerProcess,
    ExtendLease,
    GiveBackRows,
    Hold,
    LimitRequests,
    OpenChannel,
    Probe,
    RowsCouldNotLoad,
    SendToMaster,
    SetEpochs,
    SetPartition,
    SetSteps,
    SnapshotTaken,
    StopUsers,
    TakeSnapshot,
    UsersStopped,
)
from inference_swarm.cluster.agent_state import Agent, AgentConfig
from inference_swarm.cluster.boot import boot_id
from inference_swarm.cluster.driver import Driver
from inference_swarm.cluster.master_clock import MasterClock
from inference_swarm.cluster.protocol import Envelope, Partition
from inference_swarm.cluster.worker_listeners import WorkerListeners
from inference_swarm.cluster.worker_requests import WorkerRequests
from inference_swarm.cluster.worker_rows import WorkerRows
from inference_swarm.cluster.worker_seams import WorkerSeams
from inference_swarm.config.settings import Settings
from inference_swarm.load.arrivals import Part, Share
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.load.listeners import OtherUsers
from inference_swarm.load.shard import Shard
from inference_swarm.load.steps import LoadStep, ends_of_steps, rate_of_steps
from inference_swarm.load.trace_feed import arrivals_of
from inference_swarm.load.user_host import UserHost, assign_users
from inference_swarm.measure.locust_stats import wall_offset_ns
from inference_swarm.measure.phases import Phases
from inference_swarm.measure.recorder import SLICE_S
from inference_swarm.measure.recording import Recording
from inference_swarm.measure.snapshot import OtherCounts, Snapshot
from inference_swarm.run.ab import interval_s_of
from inference_swarm.run.plan import phases_of, schedule_of
from inference_swarm.run.trace_plan import trace_schedule_of

logger = logging.getLogger(__name__)
NS_PER_S = 1_000_000_000


class WorkerAdapter:
    """One worker: its agent, its rows, its users."""

    def __init__(self, environment: Any, runner: Any, config: AgentConfig, allowed: str, seams: WorkerSeams) -> None:
        """`allowed` are the patterns of `--allow-host` that this worker was started with."""
        self.state = Agent(config, MasterClock(boot_id()))
        self.users = UserHost(runner, self._failed)
        self._environment = environment
        self._runner = runner
        self._seams = seams
        self._others = OtherUsers(environment.events)
        self._rows = WorkerRows(config.worker, allowed, self.feed, seams.source_address)
        self._began_ns = 0
        self._steps_known = 1
        self._recording: Recording | None = None
        self._assignment: Assignment | None = None
        self._dispatcher: ArrivalDispatcher | None = None
        self._requests: WorkerRequests | None = None
        self._listeners = WorkerListeners(
            environment, runner, self._carry_out, self._failed, are_there=seams.notifies_listeners
        )
        self._driver: Driver[AgentEvent | Envelope, AgentAction] = Driver(
            lambda event, now_s: agent.step(self.state, event, now_s),
            self._listeners.execute,
            lambda now_s: agent.wake_s(self.state, now_s),
            AgentTick,
        )

    def begin(self) -> None:
        """Look for a master from now on."""
        self._driver.feed(AgentTick())

    def feed(self, event: AgentEvent | Envelope) -> None:
        """Take in an event of this process or a message."""
        self._driver.feed(event)

    def close(self) -> None:
        """Ignore all further events, and load nothing; returns when listeners have been told of the end."""
        self._driver.close()
        self._rows.drop()
        self._listeners.finish()

    @property
    def is_loading(self) -> bool:
        """True when assigned rows are not in memory yet; the containers' health check reads it."""
        return self._rows.is_loading

    # actions

    def _carry_out(self, action: AgentAction) -> None:
        match action:
            case SendToMaster(session, message):
                self._seams.send(Envelope(session, message))
            case OpenChannel():
                self._seams.open_channel()
            case Hold(order):
                self._rows.hold(order)
            case Probe(run_id):
                self._rows.probe(run_id)
            case DropRows():
                self._rows.drop()
            case DropLeases() | GiveBackRows():
                self._rows.give_back()
            case AcknowledgeOnce(sequence):
                self._rows.acknowledge_once(sequence)
            case LimitRequests(number, limit):
                if self._requests is not None:
                    self._requests.grant(number, limit)
            case BeginRecording(run_id, began_s):
                self._begin_recording(run_id, round(began_s * NS_PER_S))
            case SetPartition(partition):
                self._set_partition(partition)
            case SetEpochs():
                self._set_epochs()
            case SetSteps(steps):
                self._set_steps(steps)
            case ExtendLease(until_s):
                if self._dispatcher is not None:
                    self._dispatcher.extend_lease(round(until_s * NS_PER_S))
            case ApplyUsers(users):
                self._apply_users(users)
            case StopUsers():
                self._stop_users(action)
            case TakeSnapshot(run_id, is_final):
                self._take_snapshot(run_id, is_final=is_final)
            case DropRecording():
                self._drop_recording()
            case EndWorkerProcess(code):
                self._seams.end(code)
            case AgentNote(level, text):
                logger.log(logging.getLevelNamesMapping()[level.upper()], "%s", text)
            case _:
                raise AssertionError(f"nobody carries out {action}")

    # users

    @property
    def _stop_timeout_s(self) -> float:
        settings = self._rows.settings
        return 0.0 if settings is None else float(settings.stop_timeout_s)

    def _apply_users(self, users: dict[str, int]) -> None:
        self.users.apply(users, self._stop_timeout_s)
        self._runner.users_applied(self.users.count)

    def _failed(self, reason: str) -> None:
        self.feed(RowsCouldNotLoad(self.state.run_id, reason))

    def _begin_recording(self, run_id: str, began_ns: int) -> None:
        shard, settings = self._rows.shard, self._rows.settings
        assert shard is not None
        assert settings is not None
        self._began_ns = began_ns
        self._steps_known = 1  # the first one is in the settings
        self._environment.host = settings.host
        self._environment.stop_timeout = float(settings.stop_timeout_s)
        self._listeners.prepare(lambda: self._record(run_id, began_ns, shard, settings))

    def _record(self, run_id: str, began_ns: int, shard: Shard, settings: Settings) -> None:
        assignment = self._assignment = shard.assignment()
        self._dispatcher = self._make_dispatcher(settings, shard)
        assignment.arrivals = arrivals_of(self._dispatcher, shard.store, began_ns)
        if settings.requests is not None:
            self._requests = WorkerRequests(run_id, lambda: self.users.count, self._dispatcher, self.feed)
            self._requests.count(assignment)
        assign_users(assignment, settings.wait_min_s, settings.wait_max_s)
        self._recording = Recording(
            shard.clients,
            self._environment.stats,
            run_id,
            self.state.config.worker,
            count_users=lambda: self.users.count,
            count_leaving=lambda: self.users.leaving_count,
            began_ns=began_ns,
            dispatcher=self._dispatcher,
            late_after_s=settings.late_after_s,
            phases=phases_of(settings),
            slice_s=interval_s_of(settings) or SLICE_S,
            watches=shard.watches,
        )
        self._count_from(self._recording.epoch_start_ns)
        self.users.take_user_seconds()
        if self._requests is not None:
            self._requests.begin(self._recording)

    def _count_from(self, epoch_start_ns: int) -> None:
        """What is intended, or begun by users of other classes, before this instant is in no statistics."""
        if self._assignment is not None:
            self._assignment.counts_from_ns = epoch_start_ns
        self._others.counts_from_s = (epoch_start_ns + wall_offset_ns()) / NS_PER_S
        self._others.take()

    def _make_dispatcher(self, settings: Settings, shard: Shard) -> ArrivalDispatcher | None:
        schedule = schedule_of(settings) if shard.trace is None else trace_schedule_of(settings, shard.trace)
        if schedule is None:
            return None
        return ArrivalDispatcher(
            Share(schedule, Part(), max(0, time.monotonic_ns() - self._began_ns)),
            self._began_ns,
            drop_after_ns=round(settings.drop_after_s * NS_PER_S),
            lease_until_ns=round(self.state.lease_until_s * NS_PER_S),
        )

    def _set_partition(self, partition: Partition) -> None:
        if self._dispatcher is not None:
            self._dispatcher.change(Part(partition.indexes, partition.count), partition.from_ns)

    def _set_steps(self, steps: tuple[LoadStep, ...]) -> None:
        if self._recording is None or self._rows.settings is None:
            return
        self._recording.set_phases(self._phases(self._rows.settings))
        known, self._steps_known = self._steps_known, len(steps)
        if self._dispatcher is not None and len(steps) > known:
            rate = rate_of_steps(steps)
            self._dispatcher.follow(self._dispatcher.schedule.with_rate(rate), steps[known].from_ns)

    def _phases(self, settings: Settings) -> Phases:
        phases = phases_of(settings).with_epochs(self.state.epochs_ns)
        return phases.with_stages(ends_of_steps(self.state.steps)) if self.state.steps else phases

    def _set_epochs(self) -> None:
        if self._recording is None or self._rows.settings is None:
            return
        self._recording.set_phases(self._phases(self._rows.settings))
        self._count_from(self._recording.epoch_start_ns)
        self._runner.stats.clear_all()

    def _stop_users(self, action: StopUsers) -> None:
        if self._dispatcher is not None and not action.is_final:
            self._dispatcher.pause(round(action.arrivals_until_s * NS_PER_S))
        if self._recording is not None and action.is_final:
            self._recording.end_load()
        if action.is_final:
            self._listeners.begin_stop()
        timeout_s = 0.0 if action.is_at_once else self._stop_timeout_s
        self.users.stop_all(timeout_s, lambda: self._users_stopped(action))

    def _users_stopped(self, action: StopUsers) -> None:
        self._runner.users_applied(self.users.count)
        self.feed(UsersStopped(action.token))
        if action.is_final:
            self._listeners.end_stop()

    # numbers

    def _take_snapshot(self, run_id: str, *, is_final: bool) -> None:
        if self._listeners.is_reporting and not is_final:
            return
        recording = self._recording
        if recording is None or recording.is_closed:
            snapshot = Snapshot(run_id, self.state.config.worker, 0, 0.0, 0.0, is_final=is_final)
        else:
            snapshot = recording.take_snapshot(
                self.users.take_user_seconds(), OtherCounts(*self._others.take()), is_final=is_final
            )
        once = self._rows.last_once_report(run_id) if is_final else None
        requests = self._requests.final() if is_final and self._requests is not None else None
        taken = SnapshotTaken(run_id, snapshot.sequence, is_final, snapshot.to_wire(), {}, once, requests)
        self._listeners.report(lambda locust: self.feed(replace(taken, locust=locust)))

    def _drop_recording(self) -> None:
        if self._recording is not None and not self._recording.is_closed:
            self._recording.take_snapshot(0.0, is_final=True)
        if self._requests is not None:
            self._requests.close()
        self._requests = None
        self._recording = self._dispatcher = self._assignment = None
