"""Carries out what the coordinator decides: messages, data, results, Locust's listeners. An edge: this process.

Used by a master, whose workers are elsewhere, and by a single process, which is its own worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent
from gevent.event import Event as Flag

from inference_swarm.cluster import coordinator
from inference_swarm.cluster.aside import LISTENERS_S, tell_of_test
from inference_swarm.cluster.driver import Driver
from inference_swarm.cluster.events import (
    Action,
    BeginEpoch,
    BeginLoad,
    Cancelled,
    Closed,
    CountReport,
    DataRead,
    DataRefused,
    EndLoad,
    EndProcess,
    Event,
    Note,
    NotifyTestStart,
    OpenResults,
    ReadData,
    Received,
    Refuse,
    Reported,
    ResultsFailed,
    ResultsOpened,
    ResultsRefused,
    ResultsWritten,
    Send,
    TestStarted,
    Tick,
    UsersComplete,
    WorkerGone,
    WorkerJoined,
    WriteResults,
)
from inference_swarm.cluster.presence import may_wait
from inference_swarm.cluster.protocol import EndWorker, Envelope, Report, RunOffer, Wire
from inference_swarm.cluster.state import Coordinator, CoordinatorConfig
from inference_swarm.errors import ExitCode, SwarmError
from inference_swarm.measure.snapshot import Snapshot
from inference_swarm.run.course import CountedReport, RunCourse

logger = logging.getLogger(__name__)


class RunServices(Protocol):
    """Services for a run outside of the swarm. Those that may wait are called in a separate greenlet."""

    def read_data(self, course: RunCourse) -> tuple[Sequence[int], RunOffer]:
        """Return the rows of each block and what workers need to make requests; may wait. Raises SwarmError."""

    def open_results(self, course: RunCourse) -> None:
        """Make the run's folder; may wait. Raises SwarmError or OSError."""

    def begin(self, course: RunCourse) -> None:
        """The measured time begins."""

    def begin_epoch(self, at_s: float) -> None:
        """Count only requests that are intended later."""

    def counted(self, worker: str, snapshot: CountedReport) -> bool:
        """A report is in the totals; returns whether all of it is left out, since the statistics restarted after it."""

    def end_load(self) -> None:
        """The measured time is over."""

    def write_results(self, course: RunCourse) -> None:
        """Write everything that the run leaves; may wait. Raises whatever goes wrong."""

    def over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        """The run is over; `why_not` is empty when it has its results."""


class TestListeners(Protocol):
    """The listeners to the life of a test in Locust's way, and Locust itself."""

    def test_start(self) -> None:
        """Notify all listeners and wait for them."""

    def begin(self) -> None:
        """Users are about to be spawned."""

    def users_complete(self, users: int) -> None:
        """All wanted users run."""

    def report(self, worker: str, locust: Wire, *, is_left_out: bool) -> None:
        """Locust's own part of a counted report has arrived; if it is left out, it is in no statistics."""

    def end(self) -> None:
        """Users are being stopped."""

    def closed(self) -> None:
        """The run is over."""

    def worker_joined(self, worker: str, index: int) -> None:
        """A worker takes part."""

    def worker_gone(self, worker: str, reason: str) -> None:
        """A worker is lost or has left."""

    def end_process(self) -> None:
        """This process may end."""


class MasterAdapter:
    """A coordinator with everything that it acts on."""

    def __init__(
        self,
        config: CoordinatorConfig,
        send: Callable[[str, Envelope], None],
        services: RunServices,
        listeners: TestListeners,
        read_until_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = Coordinator(config)
        self.changed = Flag()
        """Set whenever something has happened that somebody may wait for."""
        self.outcomes: dict[str, str] = {}
        """What became of each wish for a run: "" when its results are written, else why there are none."""
        self.edit_refused = ""
        self.has_ended = False
        self._closing: gevent.Greenlet | None = None
        self._send = send
        self._read_until_s = read_until_s
        self._services = services
        self._listeners = listeners
        self._driver: Driver[Event, Action] = Driver(
            lambda event, now_s: coordinator.step(self.state, event, now_s),
            self._execute,
            lambda now_s: coordinator.wake_s(self.state, now_s),
            lambda: Tick(read_until_s()),
        )

    def begin(self) -> None:
        """Watch the workers from now on."""
        self._driver.feed(Tick())

    def feed(self, event: Event) -> None:
        """Take in an event of this process."""
        self._driver.feed(event)

    def receive(self, worker: str, envelope: Envelope) -> None:
        """Take in a message of a worker. Raises ProtocolError for a report that cannot be read."""
        message = envelope.message
        if may_wait(message, self._read_until_s(), time.monotonic()):
            return
        if isinstance(message, Report):
            self.feed(Reported(worker, envelope.session, message, self._read_snapshot(worker, message)))
        else:
            self.feed(Received(worker, envelope.session, message))

    def _read_snapshot(self, worker: str, report: Report) -> Snapshot:
        """Return what the report holds; without its counters if they are known, or are not wanted any more.

        Workers repeat what is not acknowledged. A master that is behind would do the same work again, and fall back.
        """
        job, wire = self.state.job, report.snapshot
        named = wire.get("run_id"), wire.get("worker"), wire.get("sequence")
        if named == (report.run_id, worker, report.sequence):
            is_over = job is None or job.run_id != report.run_id
            if is_over or (job is not None and job.course.totals.has_counted(worker, report.sequence)):
                return Snapshot(report.run_id, worker, report.sequence, 0.0, 0.0)
        return Snapshot.from_wire(wire)

    def end_workers(self) -> None:
        """Tell all to end, whatever they are doing: nobody will hear what they still have to say."""
        for member in self.state.here():
            self._send(member.worker, Envelope(member.session, EndWorker("the master ends at once")))

    def close(self) -> None:
        """Ignore all further events."""
        self._driver.close()

    def _execute(self, action: Action) -> None:
        match action:
            case Send(worker, session, message):
                self._send(worker, Envelope(session, message))
            case ReadData(run_id):
                gevent.spawn(self._read_data, run_id, self._course())
            case OpenResults(run_id):
                gevent.spawn(self._open_results, run_id, self._course())
            case NotifyTestStart(run_id):
                tell_of_test(self._tell_test_start, run_id)
            case BeginLoad():
                self._listeners.begin()
                self._services.begin(self._course())
            case BeginEpoch(_, at_s):
                self._services.begin_epoch(at_s)
            case UsersComplete(_, users):
                self._listeners.users_complete(users)
            case CountReport(worker, report, snapshot):
                is_left_out = self._services.counted(worker, snapshot)
                if report.locust:
                    self._listeners.report(worker, report.locust, is_left_out=is_left_out)
            case EndLoad():
                self._services.end_load()
                tell_of_test(self._listeners.end)
            case WriteResults(run_id):
                gevent.spawn(self._write_results, run_id, self._course())
            case Closed(run_id, failure):
                self._over(run_id, failure, ExitCode.INCOMPLETE if failure else None)
            case Refuse("", reason, _):
                self.edit_refused = reason
                logger.warning("Nothing was changed: %s", reason)
            case Refuse(run_id, reason, code):
                self._over(run_id, reason, code)
            case Cancelled(run_id):
                self._over(run_id, "it was stopped before it began", None)
            case WorkerJoined(worker, index):
                self._listeners.worker_joined(worker, index)
            case WorkerGone(worker, reason):
                self._listeners.worker_gone(worker, reason)
            case EndProcess(code):
                self.has_ended = True
                if code is not None:
                    self._services.over("", "", code)
                self._listeners.end_process()
            case Note(level, text):
                logger.log(logging.getLevelNamesMapping()[level.upper()], "%s", text)
            case _:
                raise AssertionError(f"nobody carries out {action}")
        self.changed.set()

    def _course(self) -> RunCourse:
        assert self.state.job is not None
        return self.state.job.course

    def _over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        self.outcomes[run_id] = why_not
        goes_on = self.state.job is not None  # so a wish was refused, and the exit code is that of the run
        self._services.over(run_id, why_not, None if goes_on else code)
        if not goes_on:
            self._closing = tell_of_test(self._listeners.closed)

    @property
    def is_telling(self) -> bool:
        """True while listeners are told of the end of a run."""
        return bool(self._closing)

    def wait_for_listeners(self) -> None:
        """Return when listeners have been told of the end of the last run: they may have something to save."""
        if self._closing and not gevent.wait([self._closing], LISTENERS_S):
            logger.error("The process ends though listeners of test_stop have not returned in %.0f s.", LISTENERS_S)

    # what takes its time, each in a greenlet of its own

    def _read_data(self, run_id: str, course: RunCourse) -> None:
        try:
            block_rows, offer = self._services.read_data(course)
        except SwarmError as error:
            self.feed(DataRefused(run_id, str(error), error.exit_code))
        except Exception as error:
            logger.exception("The data of run %s could not be read", run_id)
            self.feed(DataRefused(run_id, f"the data cannot be read: {error!r}"))
        else:
            self.feed(DataRead(run_id, block_rows, offer))

    def _open_results(self, run_id: str, course: RunCourse) -> None:
        try:
            self._services.open_results(course)
        except Exception as error:  # a read-only disk, say: refused in words
            self.feed(ResultsRefused(run_id, str(error)))
        else:
            self.feed(ResultsOpened(run_id))

    def _tell_test_start(self, run_id: str) -> None:
        try:
            self._listeners.test_start()
        finally:
            self.feed(TestStarted(run_id))

    def _write_results(self, run_id: str, course: RunCourse) -> None:
        try:
            self._services.write_results(course)
        except Exception as error:
            logger.log(
                logging.DEBUG if isinstance(error, OSError) else logging.ERROR,
                "The results of run %s could not be written",
                run_id,
                exc_info=True,
            )
            self.feed(ResultsFailed(run_id, str(error) or repr(error)))
        else:
            self.feed(ResultsWritten(run_id))
