"""A worker's adapter with a master of the test's own: what cannot be used is said. Run by test_patched.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gevent.pool import Group
from locust.event import Events
from locust.exception import StopTest

import locust  # noqa: F401 - first: it makes the standard library cooperative
from inference_swarm.cluster import aside, locust_report
from inference_swarm.cluster.agent_events import AgentAction, ApplyUsers, RequestsCounted
from inference_swarm.cluster.agent_state import AgentConfig
from inference_swarm.cluster.protocol import (
    Envelope,
    Heartbeat,
    HeartbeatAck,
    Hello,
    HoldRows,
    Message,
    ReleaseRun,
    Report,
    ReportAck,
    RowsFailed,
    RowsReady,
    RunOffer,
    StopRun,
    Welcome,
)
from inference_swarm.cluster.worker_adapter import WorkerAdapter
from inference_swarm.cluster.worker_listeners import WorkerListeners
from inference_swarm.cluster.worker_requests import WorkerRequests
from inference_swarm.cluster.worker_seams import WorkerSeams
from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import find_source, read_source
from inference_swarm.data.manifest_wire import manifest_to_wire
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.measure.recording import Recording
from inference_swarm.measure.snapshot import Snapshot


class Worker:
    """The adapter, and what it said."""

    def __init__(self, folder: Path, allowed: str = "") -> None:
        pq.write_table(pa.table({"n": list(range(100))}), folder / "rows.parquet")
        values = {option.name: option.default for option in OPTIONS}
        self.settings = Settings(**{**values, "host": "http://127.0.0.1:9", "data": str(folder / "rows.parquet")})
        self.said: list[Message] = []
        self.opened = 0
        runner = SimpleNamespace(
            environment=SimpleNamespace(host=""), user_classes=[], user_greenlets=Group(),
            users_applied=lambda _: None, state="running",
            user_classes_by_name=defaultdict(lambda: lambda _: SimpleNamespace(start=lambda _: None)),
        )  # fmt: skip
        environment = SimpleNamespace(stats=None, events=Events())
        seams = WorkerSeams(self._send, self._open, lambda _: None, notifies_listeners=False)
        self.adapter = WorkerAdapter(environment, runner, AgentConfig("w"), allowed, seams)
        self.adapter.begin()
        hello = self.wait_for(Hello)
        self.session = hello.session
        self.hear(Welcome(0, "", ""))

    def _send(self, envelope: Envelope) -> None:
        self.said.append(envelope.message)
        if isinstance(envelope.message, Heartbeat):
            gevent.spawn(self.hear, HeartbeatAck(envelope.message.beat, 1.0))

    def _open(self) -> None:
        self.opened += 1

    def hear(self, message: Message) -> None:
        self.adapter.feed(Envelope(self.session, message))

    def wait_for(self, kind: type[Any]) -> Any:
        with gevent.Timeout(10):
            while not (found := [message for message in self.said if isinstance(message, kind)]):
                gevent.sleep(0.005)
        return found[-1]

    def hold(self, generation: int = 1, **changes: Any) -> HoldRows:
        manifest = manifest_to_wire(read_source(find_source(self.settings)))
        offer = RunOffer(manifest, {**replace(self.settings).to_dict(), **changes})
        return HoldRows("run", generation, ((0, 1),), (), offer)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    made = Worker(tmp_path)
    yield made
    made.adapter.close()


def test_rows_are_loaded_and_said_to_be_ready(worker: Worker) -> None:
    worker.hear(worker.hold())
    ready = worker.wait_for(RowsReady)
    assert (ready.run_id, ready.generation, ready.blocks, ready.rows > 0) == ("run", 1, 1, True)
    assert not worker.adapter.is_loading


def test_a_worker_with_patterns_of_its_own_says_why_it_loads_nothing(tmp_path: Path) -> None:
    worker = Worker(tmp_path, allowed="models.example")
    worker.hear(worker.hold())
    failed = worker.wait_for(RowsFailed)
    assert (failed.run_id, failed.generation) == ("run", 1)
    assert "127.0.0.1" in failed.reason
    assert "worker w" in failed.reason
    assert not any(isinstance(message, RowsReady) for message in worker.said)
    worker.adapter.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"no_such_setting": 1}, "no_such_setting"), ({"data": "elsewhere"}, "")],
)
def test_settings_of_another_release_are_refused_in_words(worker: Worker, changes: dict[str, Any], words: str) -> None:
    worker.hear(worker.hold(**changes))
    if words:
        assert words in worker.wait_for(RowsFailed).reason
    else:  # where the data lie is what the manifest says
        worker.wait_for(RowsReady)


def test_a_file_that_has_gone_is_named(worker: Worker) -> None:
    hold = worker.hold()
    Path(str(worker.settings.data)).unlink()
    worker.hear(hold)
    assert "rows.parquet" in worker.wait_for(RowsFailed).reason


def test_a_worker_that_is_stopped_before_it_had_users_reports_that_it_sent_nothing(worker: Worker) -> None:
    worker.hear(worker.hold())
    worker.wait_for(RowsReady)
    worker.hear(StopRun("run"))
    report = worker.wait_for(Report)
    snapshot = Snapshot.from_wire(report.snapshot)
    assert (report.is_final, report.sequence, snapshot.is_final, snapshot.ended) == (True, 0, True, 0)
    worker.hear(ReportAck("run", 0))
    worker.hear(ReleaseRun("run"))
    assert (worker.adapter.state.run_id, worker.adapter.state.undelivered) == ("", {})
    assert not worker.adapter.is_loading


def test_users_that_cannot_be_created_are_a_failure_of_the_worker(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(_environment: object) -> None:
        raise ValueError("no user")

    worker.hear(worker.hold())
    worker.wait_for(RowsReady)
    monkeypatch.setattr(worker.adapter._runner, "user_classes_by_name", {"User": make}, raising=False)
    worker.adapter._carry_out(ApplyUsers({"User": 3}))
    assert worker.wait_for(RowsFailed).reason == "its users cannot be started: ValueError('no user')"


def test_a_worker_with_nothing_to_send_goes_on_saying_so_and_counts_what_it_drops_at_its_end() -> None:
    dispatcher = SimpleNamespace(dropped_count=0, count_needed=lambda ahead_s: (0, True))
    said: list[RequestsCounted] = []
    requests = WorkerRequests("r", lambda: 0, cast(ArrivalDispatcher, dispatcher), said.append)
    requests.begin(cast(Recording, SimpleNamespace(count_attempts=lambda: dispatcher.dropped_count)))
    gevent.sleep(2.5)
    assert len(said) in (2, 3)
    requests.close()
    dispatcher.dropped_count = 4
    assert requests.final().use().started == 4


def test_users_that_hold_an_arrival_without_a_request_want_one() -> None:
    dispatcher = SimpleNamespace(dropped_count=0, count_needed=lambda ahead_s: (0, True))
    requests = WorkerRequests("r", lambda: 3, cast(ArrivalDispatcher, dispatcher), lambda event: None)
    requests.begin(cast(Recording, SimpleNamespace(count_attempts=lambda: 0)))
    client: Any = SimpleNamespace()
    assignment = Assignment(client, lambda: b"request")
    requests.count(assignment)
    users = [gevent.spawn(assignment.wait_for_row) for _ in range(3)]
    gevent.sleep(0.01)
    assert requests.use().wanted == 3
    requests.grant(0, 3)
    gevent.joinall(users, timeout=5, raise_error=True)
    assert requests.use().wanted == 0
    requests.close()


class Listening:
    """A worker's listeners, with one of `test_start`."""

    def __init__(self, listener: Any) -> None:
        self.done: list[object] = []
        self.failures: list[str] = []
        environment = SimpleNamespace(events=Events(), _filter_tasks_by_tags=lambda: None)
        environment.events.test_start.add_listener(listener)
        runner = SimpleNamespace(stats=SimpleNamespace(clear_all=lambda: None), exceptions={})
        self.listeners = WorkerListeners(environment, runner, self._carry_out, self.failures.append, are_there=True)

    def _carry_out(self, action: Any) -> None:
        self.done.append(action)
        if action == "bad":
            raise ValueError(action)


@pytest.mark.parametrize("error", [StopTest("no token"), gevent.Timeout(1), ValueError("x")])
def test_whatever_a_listener_raises_the_run_begins_and_what_came_meanwhile_is_done(error: BaseException) -> None:
    def fail(**_: object) -> None:
        gevent.sleep(0.01)
        raise error

    worker = Listening(fail)
    worker.listeners.prepare(lambda: worker.done.append("begun"))
    for action in ("bad", "good"):
        worker.listeners.execute(cast(AgentAction, action))
    gevent.sleep(0.1)
    assert (worker.done, worker.failures) == (["begun", "bad", "good"], [])
    worker.listeners.execute(cast(AgentAction, "later"))
    assert worker.done[-1] == "later"


def test_a_worker_that_cannot_begin_says_so() -> None:
    def fail() -> None:
        raise ValueError("no schedule")

    worker = Listening(lambda **_: None)
    worker.listeners.prepare(fail)
    gevent.sleep(0.1)
    assert worker.failures == ["it cannot begin the run: ValueError('no schedule')"]


class Reporting:
    """A worker's listeners, with these of `report_to_master`, and the reports that come of it."""

    def __init__(self, *listeners: Any) -> None:
        self.events = Events()
        for listener in listeners:
            self.events.report_to_master.add_listener(listener)
        environment = SimpleNamespace(events=self.events)
        self.listeners = WorkerListeners(
            environment, SimpleNamespace(client_id="w"), lambda _: None, lambda _: None, are_there=True
        )
        self.reports: list[object] = []

    def report(self) -> None:
        self.listeners.report(self.reports.append)


def test_what_a_listener_adds_to_a_report_and_cannot_be_sent_is_left_out() -> None:
    def add(data: dict[str, object], **_: object) -> None:
        data.update(good=1, bad=np.int64(3), worse={1, 2})

    worker = Reporting(add)
    worker.report()
    gevent.sleep(0.05)
    assert worker.reports == [{"good": 1}]


def counting() -> Any:
    """Locust's own listener: it counts the reports."""
    numbers = iter(range(9))

    def count(data: dict[str, object], **_: object) -> None:
        data["number"] = next(numbers)

    count.__module__ = "locust.stats"
    return count


def test_a_report_holds_what_locust_had_counted_and_waits_for_what_others_add() -> None:
    count = counting()

    def slow(data: dict[str, object], **_: object) -> None:
        gevent.sleep(0.05)
        data["slow"] = True
        if data["number"] == 1:
            raise StopTest("enough")

    worker = Reporting(slow, count)
    for _ in range(3):
        worker.report()
    later: dict[str, object] = {}
    count(data=later)
    assert (later["number"], worker.reports, worker.listeners.is_reporting) == (3, [], True)
    gevent.sleep(0.4)
    assert worker.reports == [{"number": number, "slow": True} for number in range(3)]
    assert not worker.listeners.is_reporting


def swallow(**_: object) -> None:
    for _ in range(20):
        try:
            gevent.sleep(30)
        except BaseException:
            continue


def leave(**_: object) -> None:
    raise gevent.GreenletExit


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (lambda **_: gevent.sleep(30), "have not returned in 0.05 s"),
        (swallow, "have not returned in 0.05 s"),
        (leave, "A listener of report_to_master failed"),
    ],
)
def test_a_report_waits_not_for_ever(
    listener: Any, words: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locust_report, "TELL_S", 0.05)
    worker = Reporting(listener, counting())
    for _ in range(2):
        worker.report()
    gevent.sleep(0.3)
    assert worker.reports == [{"number": 0}, {"number": 1}]
    assert words in caplog.text


def test_no_report_comes_before_one_that_still_waits() -> None:
    def once(data: dict[str, object], **_: object) -> None:
        worker.events.report_to_master.remove_listener(once)
        gevent.sleep(0.1)
        data["once"] = True

    worker = Reporting(once)
    worker.report()
    gevent.sleep(0.01)
    worker.report()
    gevent.sleep(0.2)
    assert worker.reports == [{"once": True}, {}]


def test_a_next_run_does_not_wait_for_what_the_last_one_has_to_save_but_the_end_of_the_process_does() -> None:
    told: list[str] = []
    worker = Listening(lambda **_: told.append("start"))
    events = worker.listeners._environment.events

    def slow(**_: object) -> None:
        gevent.sleep(0.3)
        told.append("stop")

    events.test_stopping.add_listener(lambda **_: told.append("stopping"))
    events.test_stop.add_listener(slow)
    for _ in range(2):
        worker.listeners.prepare(lambda: told.append("begun"))
        gevent.sleep(0.05)
        worker.listeners.begin_stop()
        worker.listeners.end_stop()
        gevent.sleep(0.05)
    assert told == ["start", "begun", "stopping"] * 2
    worker.listeners.finish()
    assert told[6:] == ["stop", "stop"]


def test_an_end_is_told_when_all_reports_have_been_told() -> None:
    told: list[str] = []
    worker = Reporting(lambda **_: (gevent.sleep(0.1), told.append("report")))
    worker.events.test_stop.add_listener(lambda **_: told.append("stop"))
    worker.report()
    worker.listeners.end_stop()
    worker.listeners.finish()
    assert told == ["report", "stop"]


def test_a_listener_of_an_end_that_never_returns_is_given_up_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aside, "LISTENERS_S", 0.05)
    worker = Listening(lambda **_: None)
    worker.listeners._environment.events.test_stop.add_listener(lambda **_: gevent.sleep(30))
    worker.listeners.end_stop()
    worker.listeners.finish()
    assert "Listeners have not returned" in caplog.text


def test_whatever_is_raised_aside_what_follows_is_done_and_a_listener_waits_not_for_itself() -> None:
    done: list[object] = []
    others = aside.Aside()

    def fail() -> None:
        raise gevent.GreenletExit

    def finish() -> None:
        others.finish()
        done.append(aside.is_listener())

    for act in (fail, finish, lambda: done.append("last")):
        others.do(act)
    others.finish()
    assert (done, aside.is_listener(), others.is_busy) == ([True, "last"], False, False)


def test_who_waits_for_a_run_is_not_waited_for() -> None:
    said: list[bool] = []

    def wait() -> None:
        with aside.waiting_for_run() as may_wait:
            said.append(may_wait)
            gevent.sleep(0.5)

    others = aside.Aside()
    others.do(wait)
    of_test = aside.tell_of_test(wait)
    gevent.sleep(0.01)
    assert others.finish()
    assert others.is_busy
    with aside.waiting_for_run() as may_wait:
        said.append(may_wait)
    assert said == [True, False, True]
    of_test.join()
