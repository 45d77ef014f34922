"""The master's adapter with services of the test's own: whatever they do, a run ends in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gevent
import pytest

from inference_swarm.cluster.distribution import UserClass
from inference_swarm.cluster.events import Quit, Start, StopAsked
from inference_swarm.cluster.master_adapter import MasterAdapter
from inference_swarm.cluster.protocol import (
    PROTOCOL_VERSION,
    Envelope,
    Heartbeat,
    Hello,
    HoldRows,
    Report,
    ReportAck,
    RowsReady,
    RunOffer,
    SetUsers,
    StopRun,
)
from inference_swarm.cluster.state import CoordinatorConfig, Phase
from inference_swarm.errors import DataError, ExitCode, ProtocolError
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.snapshot import Snapshot, whole_snapshot
from inference_swarm.measure.totals import SwarmTotals
from inference_swarm.run.course import LoadPlan, RunCourse

CLASSES = (UserClass("A"),)


class Services:
    """Does what a test says; keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.outcomes: list[tuple[str, str, ExitCode | None]] = []
        self.data_error: Exception | None = None
        self.folder_error: Exception | None = None
        self.results_error: Exception | None = None
        self.is_left_out = False

    def read_data(self, course: RunCourse) -> tuple[Sequence[int], RunOffer]:
        if self.data_error is not None:
            raise self.data_error
        return [10, 10], RunOffer({}, {})

    def open_results(self, course: RunCourse) -> None:
        if self.folder_error is not None:
            raise self.folder_error

    def begin(self, course: RunCourse) -> None:
        self.asked.append("begin")

    def begin_epoch(self, at_s: float) -> None:
        self.asked.append("epoch")

    def counted(self, worker: str, snapshot: Any) -> bool:
        self.asked.append(f"counted {worker}")
        return self.is_left_out

    def end_load(self) -> None:
        self.asked.append("end")

    def write_results(self, course: RunCourse) -> None:
        self.asked.append("write")
        if self.results_error is not None:
            raise self.results_error

    def over(self, run_id: str, why_not: str, code: ExitCode | None) -> None:
        self.outcomes.append((run_id, why_not, code))


class Listeners:
    """Locust's side; `test_start` returns when `may_start` is set."""

    def __init__(self) -> None:
        self.may_start = gevent.event.Event()
        self.may_start.set()
        self.heard: list[str] = []

    def test_start(self) -> None:
        self.may_start.wait()

    def begin(self) -> None:
        self.heard.append("begin")

    def users_complete(self, users: int) -> None:
        self.heard.append(f"{users} users")

    def report(self, worker: str, locust: Any, *, is_left_out: bool) -> None:
        self.heard.append("report left out" if is_left_out else "report")

    def end(self) -> None:
        self.heard.append("end")

    def closed(self) -> None:
        self.heard.append("closed")

    def worker_joined(self, worker: str, index: int) -> None:
        self.heard.append(f"joined {worker} {index}")

    def worker_gone(self, worker: str, reason: str) -> None:
        self.heard.append(f"gone {worker}")

    def end_process(self) -> None:
        self.heard.append("end process")


class Swarm:
    """A master's adapter, and a worker that does what it is told at once."""

    def __init__(self) -> None:
        self.services, self.listeners = Services(), Listeners()
        self.sent: list[Any] = []
        self.adapter = MasterAdapter(CoordinatorConfig(), self._take, self.services, self.listeners)
        self.adapter.begin()
        self.send(Hello(PROTOCOL_VERSION, "1", 1, "", "h", 1, 1))

    def send(self, message: Any) -> None:
        self.adapter.receive("w", Envelope(1, message))

    def _take(self, worker: str, envelope: Envelope) -> None:
        message = envelope.message
        self.sent.append(message)
        if isinstance(message, HoldRows):
            self.send(RowsReady(message.run_id, message.generation, 2, 20, 9, 0.1, is_windowed=False))
        elif isinstance(message, SetUsers):
            self.send(Heartbeat(1, "running", 0.0, 0, message.users, message.run_id, 9, 9, message.generation))
        elif isinstance(message, StopRun):
            number = self.adapter.state.job.course.totals.workers["w"].next_sequence  # type: ignore[union-attr]
            snapshot = Snapshot(message.run_id, "w", number, 0.0, 1.0, is_final=True)
            self.send(Report(message.run_id, number, is_final=True, snapshot=snapshot.to_wire(), locust={"stats": []}))

    def start(self, run_id: str = "run") -> None:
        self.adapter.feed(Start(run_id, LoadPlan(2, 100.0), CLASSES, SwarmTotals(run_id)))

    def wait_for(self, phase: Phase) -> None:
        with gevent.Timeout(5):
            while self.adapter.state.phase is not phase:
                self.adapter.changed.clear()
                self.adapter.changed.wait(0.05)
        gevent.sleep(0)  # listeners hear of it in greenlets of their own


@pytest.fixture
def swarm() -> Iterator[Swarm]:
    made = Swarm()
    yield made
    made.adapter.close()


def test_a_run_goes_from_its_start_to_its_results(swarm: Swarm) -> None:
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    swarm.adapter.feed(StopAsked())
    swarm.wait_for(Phase.IDLE)
    assert swarm.services.asked == ["begin", "end", "counted w", "write"]
    assert swarm.services.outcomes == [("run", "", None)]
    assert swarm.adapter.outcomes == {"run": ""}
    assert swarm.listeners.heard == ["joined w 0", "begin", "2 users", "report", "end", "closed"]


def test_locusts_part_of_a_report_is_left_out_with_the_rest_of_it(swarm: Swarm) -> None:
    swarm.services.is_left_out = True
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    swarm.adapter.feed(StopAsked())
    swarm.wait_for(Phase.IDLE)
    assert "report left out" in swarm.listeners.heard


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (DataError("no such file"), "no such file", DataError("x").exit_code),
        (ZeroDivisionError("odd"), "the data cannot be read: ZeroDivisionError('odd')", ExitCode.BAD_CONFIGURATION),
    ],
)
def test_data_that_cannot_be_read_refuse_the_run_with_the_reason(
    swarm: Swarm, error: Exception, words: str, code: ExitCode
) -> None:
    swarm.services.data_error = error
    swarm.start()
    swarm.wait_for(Phase.IDLE)
    ((run_id, why_not, said),) = swarm.services.outcomes
    assert (run_id, said) == ("run", code)
    assert words in why_not
    swarm.services.data_error = None
    swarm.start("next")
    swarm.wait_for(Phase.RUNNING)


def test_a_folder_that_cannot_be_made_refuses_the_run(swarm: Swarm) -> None:
    swarm.services.folder_error = PermissionError("read-only file system")
    swarm.start()
    swarm.wait_for(Phase.STARTING)
    swarm.wait_for(Phase.IDLE)
    assert swarm.services.outcomes == [("run", "read-only file system", ExitCode.BAD_CONFIGURATION)]
    assert swarm.services.asked == []


def test_results_that_cannot_be_written_end_the_run_with_the_reason_all_the_same(
    swarm: Swarm, caplog: pytest.LogCaptureFixture
) -> None:
    swarm.services.results_error = OSError("No space left on device")
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    with caplog.at_level(logging.ERROR):
        swarm.adapter.feed(StopAsked())
        swarm.wait_for(Phase.IDLE)
    assert swarm.services.outcomes == [("run", "No space left on device", ExitCode.INCOMPLETE)]
    assert "The results of run run could not be written" in caplog.text


def test_a_listener_that_never_returns_does_not_keep_a_run_from_being_stopped(swarm: Swarm) -> None:
    swarm.listeners.may_start.clear()
    swarm.start()
    swarm.wait_for(Phase.STARTING)
    swarm.adapter.feed(StopAsked())
    swarm.wait_for(Phase.IDLE)
    assert swarm.services.asked == ["write"]  # nothing was sent, and the results say so
    assert swarm.services.outcomes == [("run", "", None)]
    swarm.listeners.may_start.set()


def test_a_listener_that_fails_does_not_keep_a_run_from_beginning(
    swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("mine")

    monkeypatch.setattr(swarm.listeners, "test_start", fail)
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *_: None)
    swarm.start()
    swarm.wait_for(Phase.RUNNING)


def test_a_report_that_cannot_be_read_is_refused_before_it_is_an_event(swarm: Swarm) -> None:
    with pytest.raises(ProtocolError):
        swarm.send(Report("run", 0, is_final=False, snapshot={"version": -1}))


def test_the_counters_of_a_report_that_is_known_are_not_read_again(swarm: Swarm) -> None:
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    wire = whole_snapshot("run", "w", 0, 0.0, 3.0, {"x": RequestCounters(succeeded=7)}).to_wire()
    swarm.send(Report("run", 0, is_final=False, snapshot=wire))
    unreadable = Report("run", 0, is_final=False, snapshot={**wire, "slices": "never looked at"})
    swarm.send(unreadable)
    totals = swarm.adapter.state.job.course.totals  # type: ignore[union-attr]
    assert (totals.total().succeeded, totals.duplicates, totals.has_counted("w", 1)) == (7, 1, False)  # type: ignore[attr-defined]
    assert [message.sequence for message in swarm.sent if isinstance(message, ReportAck)] == [0, 0]
    with pytest.raises(ProtocolError):  # of another report all is read
        swarm.send(replace(unreadable, sequence=1, snapshot={**unreadable.snapshot, "sequence": 1}))
    swarm.adapter.feed(StopAsked())
    swarm.wait_for(Phase.IDLE)
    swarm.send(replace(unreadable, sequence=5, snapshot={**unreadable.snapshot, "sequence": 5}))  # the run is over
    assert isinstance(swarm.sent[-1], ReportAck)
    assert swarm.sent[-1].sequence == 5


def test_who_is_told_to_end_ends_the_run_first(swarm: Swarm) -> None:
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    swarm.adapter.feed(Quit(ends_workers=True))
    swarm.wait_for(Phase.IDLE)
    assert swarm.adapter.has_ended
    assert swarm.services.asked[-1] == "write"
    assert "end process" in swarm.listeners.heard
    assert type(swarm.sent[-1]).__name__ == "EndWorker"


def test_who_ends_at_once_tells_workers_so_in_mid_run(swarm: Swarm) -> None:
    swarm.start()
    swarm.wait_for(Phase.RUNNING)
    swarm.adapter.end_workers()
    assert type(swarm.sent[-1]).__name__ == "EndWorker"
    assert swarm.adapter.state.phase is Phase.RUNNING
