"""This process's attempts, folded ten times a second out of the transport's log into Locust's numbers and ours.

An edge: the clock and a greenlet. The owner of the run says when the load ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import gevent
from locust.stats import RequestStats

from inference_swarm.load.answer_watch import AnswerWatch
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.measure.health import HealthMonitor
from inference_swarm.measure.locust_stats import fold_into_locust, since, wall_offset_ns
from inference_swarm.measure.phases import NS_PER_S, Phases
from inference_swarm.measure.recorded import RecordedAnswer, pack_recorded, recorded_answers
from inference_swarm.measure.recorder import NO_OTHERS, SLICE_S, RunRecorder
from inference_swarm.measure.snapshot import OtherCounts, Snapshot, WorkerHealth
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.outcome_log import OutcomeLog
from inference_swarm.transport.target import METHOD

FOLD_PERIOD_S = 0.1  # at 1 s a fold holds the loop up for 5 ms at 100,000 requests/s, which shows in p99.9


class Recording:
    """One run in one process, from its first user to its final snapshot."""

    def __init__(
        self,
        clients: Sequence[InferenceClient],
        stats: RequestStats,
        run_id: str,
        worker: str,
        *,
        count_users: Callable[[], int],
        count_leaving: Callable[[], int] = lambda: 0,
        began_ns: int | None = None,
        dispatcher: ArrivalDispatcher | None = None,
        late_after_s: float = 0.0,
        phases: Phases | None = None,
        slice_s: float = SLICE_S,
        watches: Sequence[AnswerWatch] = (),
    ) -> None:
        """`began_ns`: when the run began on this process's clock, if not now; `dispatcher`: that of an open load.

        `count_leaving`: users that are stopping, which end the request that they have under way.
        The first client is that of dropped arrivals. `watches`: what looks at the answers of each client, if anybody.
        """
        self._clients = clients
        self._watches = watches
        self._recorded: list[RecordedAnswer] = []
        self._stats = stats
        self._count_users = count_users
        self._count_leaving = count_leaving
        self._dispatcher = dispatcher
        now_ns = time.monotonic_ns()
        self._recorder = RunRecorder(
            run_id,
            worker,
            began_ns or now_ns,
            start_ns=now_ns,
            late_after_ns=None if dispatcher is None else round(late_after_s * NS_PER_S),
            load_end_ns=None if dispatcher is None else dispatcher.end_ns,
            phases=phases,
            slice_s=slice_s,
        )
        self._offset_ns = wall_offset_ns()
        self._connects_seen = [0] * len(clients)
        self._twice_seen = 0
        self._health = HealthMonitor()
        self._folder = gevent.spawn(self._fold_loop)

    @property
    def is_closed(self) -> bool:
        """The final snapshot has been taken."""
        return self._recorder.is_closed

    @property
    def epoch_start_ns(self) -> int:
        """When the newest epoch begins; what was intended before is in no metric."""
        return self._recorder.epoch_start_ns

    def set_phases(self, phases: Phases) -> None:
        """Set the phases: a reset of the statistics, sent to every worker, begins another epoch."""
        self.fold()
        self._recorder.set_phases(phases)

    def count_attempts(self) -> int:
        """Return how many attempts have ended or were abandoned, and arrivals were dropped, in the whole run."""
        self.fold()
        attempts = 0
        for client in self._clients:
            logs = [client.log, client.notified_log, *(log for pair in client.named_logs.values() for log in pair)]
            attempts += sum(log.attempt_count + log.abandoned_count for log in logs)
        return attempts + (0 if self._dispatcher is None else self._dispatcher.dropped_count)

    def fold(self) -> None:
        """Bring Locust's statistics and ours up to date."""
        now_ns = time.monotonic_ns()
        for place, client in enumerate(self._clients):
            name, opened = client.target.name, client.counters.opened
            self._fold_name(name, client.log, client.notified_log, now_ns)
            for own_name, (log, notified_log) in client.named_logs.items():
                self._fold_name(own_name, log, notified_log, now_ns)
            self._recorder.add_connects(name, opened - self._connects_seen[place], now_ns)
            self._connects_seen[place] = opened
        for client, watch in zip(self._clients, self._watches, strict=bool(self._watches)):
            self._fold_answers(client.target.name, watch)
        if self._dispatcher is not None:
            self._recorder.add_dropped(self._clients[0].target.name, self._dispatcher.take_dropped_ns(), now_ns)

    def _fold_answers(self, name: str, watch: AnswerWatch) -> None:
        judged, watch.log = watch.log, []
        self._recorder.add_answers(name, judged, watch.right.take())
        if watch.is_recording:
            self._recorded += recorded_answers(judged)

    def _fold_name(self, name: str, log: OutcomeLog, notified_log: OutcomeLog, now_ns: int) -> None:
        batch, notified = log.take_batch(), notified_log.take_batch()
        self._recorder.add(name, batch)
        self._recorder.add(name, notified)
        # Locust's own listener has counted the notified ones already.
        counted = since(batch, self._recorder.epoch_start_ns)
        fold_into_locust(self._stats, counted, method=METHOD, name=name, offset_ns=self._offset_ns)
        self._recorder.add_stale_connections(name, batch.stale_connections + notified.stale_connections, now_ns)

    def end_load(self) -> None:
        """End the load: requests that end later are counted, and are in no rate."""
        self._recorder.end_load(time.monotonic_ns())
        if self._dispatcher is not None:
            self._dispatcher.end()

    def take_snapshot(
        self, user_seconds: float, others: OtherCounts = NO_OTHERS, *, is_final: bool = False
    ) -> Snapshot:
        """Return everything since the last one; the final one ends it. `user_seconds`: users times seconds they ran."""
        if is_final:
            self._folder.kill(block=False)
            self.end_load()
        self.fold()
        twice = 0 if self._dispatcher is None else self._dispatcher.possible_duplicates
        snapshot = self._recorder.take_snapshot(
            time.monotonic_ns(),
            self._count_users(),
            self._take_health(),
            user_seconds=user_seconds,
            in_flight=0 if is_final else self._count_in_flight(),
            possible_duplicates=twice - self._twice_seen,
            others=others,
            is_final=is_final,
        )
        self._twice_seen = twice
        recorded, self._recorded = pack_recorded(self._recorded), []
        if is_final:
            self._health.close()
        return replace(snapshot, recorded=recorded) if recorded else snapshot

    def _count_in_flight(self) -> int:
        leaving = self._count_leaving()
        if self._dispatcher is None:
            return self._count_users() + leaving
        return max(0, self._count_users() - self._dispatcher.free_count) + leaving + self._dispatcher.count_waiting()

    def _take_health(self) -> WorkerHealth:
        lags_ns = None if self._dispatcher is None else self._dispatcher.take_lags_ns()
        return replace(
            self._health.take(lags_ns),
            ports_exhausted=self._recorder.ports_exhausted,
            files_exhausted=self._recorder.files_exhausted,
        )

    def _fold_loop(self) -> None:
        while True:
            gevent.sleep(FOLD_PERIOD_S)
            self.fold()
