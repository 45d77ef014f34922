"""The user loop under a real Locust runner and a scripted server. Run by test_patched.py in a patched process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import numpy as np
import pyarrow as pa
import pytest
from locust.env import Environment
from locust.exception import StopUser

from inference_swarm.data.batches import Batching, ChunkBatches
from inference_swarm.data.orders import Chunk
from inference_swarm.data.packed import Heads, PackedBodies, Requests
from inference_swarm.load.allowance import RequestAllowance
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.example_rows import ExampleRows
from inference_swarm.load.listeners import OtherUsers
from inference_swarm.load.user import InferenceUser
from inference_swarm.measure.locust_stats import fold_into_locust, wall_offset_ns
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.deadlines import Deadlines
from inference_swarm.transport.outcome import ErrorKind
from locust import constant, task
from tests.transport.scripted_server import Peer, ScriptedServer, request_to, respond_all, serve

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n" + b'{"predictions":[0]}'


class Run:
    """A local run of one user class against a scripted server."""

    def __init__(self, user_class: type[InferenceUser], client: InferenceClient, server: ScriptedServer) -> None:
        self.client, self.server, self.user_class = client, server, user_class
        self.environment = Environment(user_classes=[user_class])
        self.runner = self.environment.create_local_runner()
        self.errors: list[Exception] = []
        self.environment.events.user_error.add_listener(lambda exception, **_: self.errors.append(exception))
        request = request_to(client)
        user_class.assignment = Assignment(client, lambda: request)

    def start(self, users: int) -> None:
        self.runner.start(users, spawn_rate=1000)
        self.runner.spawning_greenlet.join()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with gevent.Timeout(5):
            while not condition():
                gevent.sleep(0.002)

    def served(self) -> int:
        return sum(len(peer.requests) for peer in self.server.peers)

    def stop(self, stop_timeout_s: float = 2) -> None:
        self.environment.stop_timeout = stop_timeout_s
        self.runner.stop()
        batch = self.client.log.take_batch()
        fold_into_locust(self.environment.stats, batch, method="POST", name="/invocation", offset_ns=wall_offset_ns())

    @property
    def counted(self) -> int:
        return self.environment.stats.total.num_requests


@contextmanager
def swarm(user_class: type[InferenceUser], script: Callable[[Peer], None], **options: Any) -> Iterator[Run]:
    with serve(script, **options) as (client, server):
        run = Run(user_class, client, server)
        try:
            yield run
        finally:
            run.runner.quit()


def make_user(**attributes: Any) -> type[InferenceUser]:
    return type("TestUser", (InferenceUser,), {"abstract": False, **attributes})


def test_every_request_the_server_saw_is_in_locusts_totals() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        run.start(5)
        run.wait_for(lambda: run.served() > 300)
        run.stop()
        assert run.counted == run.served() > 300
        assert run.environment.stats.total.num_failures == 0
        assert run.environment.stats.total.total_content_length == 19 * run.counted
        assert run.runner.user_count == 0
        assert run.client.counters.open == 0
        assert len(run.server.peers) == 5


def test_a_listener_hears_every_request_from_the_moment_it_listens() -> None:
    heard: list[dict[str, Any]] = []
    with swarm(make_user(context=lambda self: {"who": "me"}), respond_all(OK)) as run:
        run.start(3)
        run.wait_for(lambda: run.served() > 100)
        served_before = run.served()
        run.environment.events.request.add_listener(lambda **event: heard.append(event))
        run.wait_for(lambda: len(heard) > 100)
        run.environment.events.request.remove_listener(run.environment.events.request._handlers[-1])
        heard_count = len(heard)
        run.wait_for(lambda: run.served() > served_before + heard_count + 100)
        run.stop()
        assert len(heard) == heard_count
        assert run.counted == run.served()
    event = heard[0]
    assert event["request_type"] == "POST"
    assert event["name"] == "/invocation"
    assert event["url"] == run.client.target.url
    assert 0 < event["response_time"] < 1000
    assert event["response_length"] == 19
    assert event["exception"] is None
    assert event["context"] == {"who": "me"}
    assert event["response"].status == 200
    assert event["start_time"] > 1_600_000_000


def test_heard_failures_carry_their_exception() -> None:
    heard: list[dict[str, Any]] = []
    with swarm(make_user(), respond_all(OK.replace(b"200", b"503"))) as run:
        run.environment.events.request.add_listener(lambda **event: heard.append(event))
        run.start(1)
        run.wait_for(lambda: len(heard) > 3)
        run.stop()
        assert run.environment.stats.total.num_failures == run.counted == len(heard) == run.served()
        assert run.client.notified_log.failure_counts == {ErrorKind.STATUS: len(heard)}
    assert repr(heard[0]["exception"]) == "status: 503 Service Unavailable"


def test_requests_of_other_classes_and_what_users_raise_are_counted_beside_and_a_warm_up_is_in_no_table() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        others = OtherUsers(run.environment.events)
        stats = run.environment.stats.total
        others.counts_from_s = 1000.0

        def fire(start_s: float, exception: Exception | None = None) -> None:
            run.environment.events.request.fire(
                request_type="GET", name="/", response_time=5.0, response_length=1, exception=exception,
                start_time=start_s,
            )  # fmt: skip

        fire(999.9)
        fire(1000.0)
        fire(1001.0, ValueError("no"))
        assert (others.requests, others.failures, stats.num_requests, stats.num_failures) == (2, 1, 2, 1)
        run.environment.events.user_error.fire(user_instance=None, exception=ValueError(), tb=None)
        assert others.take() == (2, 1, 1)
        run.start(1)
        run.wait_for(lambda: run.served() > 10)
        run.stop()
        assert others.take() == (0, 0, 0)
        assert run.counted == run.served()


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("counts_rows", [False, True])
def test_a_failure_knows_its_row(listens: bool, counts_rows: bool) -> None:
    def refuse_some(peer: Peer) -> None:
        while request := peer.read_request():
            peer.send(OK if not request.endswith(b"7") else OK.replace(b"200", b"422"))

    with swarm(make_user(), refuse_some) as run:
        numbers = iter(range(1000, 2000))
        requests = {request_to(run.client, b"%d" % number): (number,) for number in range(1000, 2000)}
        rows = iter(requests.items())
        run.user_class.assignment = Assignment(
            run.client,
            lambda: next(rows)[0],
            take_rows=(lambda: ((next(numbers),), next(rows)[0])) if counts_rows else None,
            is_counted=counts_rows,
            example_rows=ExampleRows(requests.__getitem__),
        )
        if listens:
            run.environment.events.request.add_listener(lambda **_: None)
        run.start(1)
        run.wait_for(lambda: run.served() > 30)
        log = run.client.notified_log if listens else run.client.log
        failures = log.take_batch().failures
        assert failures[0].rows == (1007,)
        assert [failure.rows for failure in failures[1:3]] == ([(1017,), (1027,)] if counts_rows else [(), ()])
        run.stop()


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("is_fast", [False, True])
def test_each_request_counts_the_rows_that_it_has_and_a_smaller_batch_is_sent_in_its_turn(
    listens: bool, is_fast: bool
) -> None:
    bodies: list[bytes] = []

    def respond(peer: Peer) -> None:
        while request := peer.read_request():
            bodies.append(request.partition(b"\r\n\r\n")[2])
            peer.send(OK if b"13" not in bodies[-1] else OK.replace(b"200", b"422"))

    with swarm(make_user(**({} if is_fast else {"wait_time": lambda self: 0.0})), respond) as run:
        chunks: deque[Chunk | None] = deque()
        for epoch in range(2):
            bodies_of_rows = pa.array([b"%d" % row for row in range(17)], pa.binary())
            rows = Requests([(0, PackedBodies.pack([bodies_of_rows]))], Heads(lambda _: b""))
            chunks += [Chunk(rows, np.arange(17), epoch), None]
        feed = ChunkBatches(
            lambda: chunks.popleft() if chunks else None,
            Batching(5, b",".join),
            lambda body_bytes: b"POST /invocation HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % body_bytes,
            is_over=lambda: not chunks,
            on_gather=lambda _: None,
        )
        run.client.log.row_count = 5
        run.user_class.assignment = Assignment(
            run.client,
            feed.take,
            row_count=5,
            take_rows=feed.take_rows,
            wait_for_row=lambda: gevent.sleep(0.01),
            example_rows=ExampleRows(feed.find_rows),
        )
        if listens:
            run.environment.events.request.add_listener(lambda **_: None)
        run.start(1)
        run.wait_for(lambda: run.served() == 8)
        log = run.client.notified_log if listens else run.client.log
        batch = log.take_batch()
        run.wait_for(lambda: bool(feed.take_rows() is None and run.client.counters.open))
        gevent.sleep(0.05)
        last = log.take_batch()
        run.stop()
        assert [body.count(b",") + 1 for body in bodies] == [5, 5, 5, 2] * 2
        assert batch.row_counts is not None
        assert last.row_counts is not None
        assert sorted([*batch.row_counts, *last.row_counts]) == [2, 2, 5, 5, 5, 5]
        failures = [*batch.failures, *last.failures]
        assert [failure.row_count for failure in failures] == [5, 5]
        assert list(failures[0].rows) == [10, 11, 12, 13, 14]


def test_a_graceful_stop_lets_the_request_in_flight_end_and_counts_it() -> None:
    stopped = []

    def slow(peer: Peer) -> None:
        while peer.read_request():
            gevent.sleep(0.1)
            peer.send(OK)

    with swarm(make_user(on_stop=lambda self: stopped.append(self)), slow) as run:
        run.start(4)
        run.wait_for(lambda: run.served() == 4)
        run.stop()
        assert run.counted == run.served() == 4
        assert len(stopped) == 4


def test_a_stop_in_the_middle_of_the_fast_path_counts_what_was_sent() -> None:
    def slow(peer: Peer) -> None:
        while peer.read_request():
            gevent.sleep(0.02)
            peer.send(OK)

    with swarm(make_user(), slow) as run:
        run.start(4)
        run.wait_for(lambda: run.served() > 20)
        run.stop()
        assert run.counted == run.served()


def test_users_that_do_not_end_in_time_are_killed_and_leave_nothing() -> None:
    stopped = []
    with swarm(make_user(on_stop=lambda self: stopped.append(self)), Peer.wait_closed) as run:
        run.start(3)
        run.wait_for(lambda: run.client.counters.open == 3)
        run.stop(0.1)
        assert len(stopped) == 3
        assert run.client.counters.open == 0
        assert run.runner.user_count == 0
        assert not run.client.timeout_scan._waiters


def test_without_a_stop_timeout_users_are_killed_at_once() -> None:
    with swarm(make_user(), Peer.wait_closed) as run:
        run.start(3)
        run.wait_for(lambda: run.client.counters.open == 3)
        run.stop(0)
        assert run.runner.user_count == 0


def test_wait_time_is_waited_and_a_waiting_user_stops_at_once() -> None:
    with swarm(make_user(wait_time=constant(100)), respond_all(OK)) as run:
        run.start(3)
        run.wait_for(lambda: run.served() == 3)
        gevent.sleep(0.02)
        assert run.served() == 3
        with gevent.Timeout(1):
            run.stop(60)
        assert run.counted == 3


def test_wait_time_may_pace() -> None:
    calls = []

    def wait_time(self: InferenceUser) -> float:
        calls.append(self)
        return 0.001

    with swarm(make_user(wait_time=wait_time), respond_all(OK)) as run:
        run.start(1)
        run.wait_for(lambda: run.served() > 20)
        run.stop()
        assert 0 <= run.served() - len(calls) <= 1


def test_rows_that_end_stop_the_users() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        request = request_to(run.client)
        rows = [request] * 50
        run.user_class.assignment = Assignment(run.client, lambda: rows.pop() if rows else None)
        run.start(4)
        run.wait_for(lambda: run.runner.user_count == 0)
        run.stop()
        assert run.counted == run.served() == 50
        assert run.errors == []


def test_users_wait_for_rows_that_are_still_to_come() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        request = request_to(run.client)
        rows: list[bytes] = []
        waits = []

        def wait_for_row() -> None:
            waits.append(1)
            gevent.sleep(0.01)
            if len(waits) > 5:
                raise StopUser
            rows.extend([request] * 10)

        run.user_class.assignment = Assignment(run.client, lambda: rows.pop() if rows else None, wait_for_row)
        run.start(1)
        run.wait_for(lambda: run.runner.user_count == 0)
        run.stop()
        assert run.counted == 50


def test_a_user_that_waits_for_rows_stops_at_once() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        run.user_class.assignment = Assignment(run.client, lambda: None, lambda: gevent.sleep(100))
        run.start(2)
        gevent.sleep(0.01)
        with gevent.Timeout(1):
            run.stop(60)
        assert run.counted == 0


def test_an_error_in_a_hook_of_ones_own_is_reported_and_the_user_goes_on() -> None:
    def listener(**_: Any) -> None:
        raise StopUser

    with swarm(make_user(), respond_all(OK)) as run:
        request = request_to(run.client)
        turns = iter(range(1_000_000))

        def take() -> bytes:
            if next(turns) == 5:
                raise RuntimeError("odd row")
            return request

        run.user_class.assignment = Assignment(run.client, take)
        run.start(1)
        run.wait_for(lambda: run.served() > 20)
        assert [str(error) for error in run.errors] == ["odd row"]
        assert len(run.server.peers) == 1
        run.environment.events.request.add_listener(listener)
        run.wait_for(lambda: run.runner.user_count == 0)


def test_an_error_in_on_start_is_reported_and_ends_the_user() -> None:
    def on_start(self: InferenceUser) -> None:
        raise RuntimeError("not today")

    with swarm(make_user(on_start=on_start), respond_all(OK)) as run:
        run.start(2)
        run.wait_for(lambda: run.runner.user_count == 0)
        assert [str(error) for error in run.errors] == ["not today"] * 2
        assert run.served() == 0


def test_a_server_that_is_down_is_asked_less_and_less_often_and_fails_requests() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        run.server.stop()
        run.start(5)
        begun = gevent.get_hub().loop.now()
        run.wait_for(lambda: sum(run.client.log.failure_counts.values()) >= 20)
        # each user after 0, 0.04, 0.11 and 0.26 s at the earliest
        assert gevent.get_hub().loop.now() - begun > 0.2
        run.stop()
        assert run.counted == run.environment.stats.total.num_failures >= 20
        assert run.client.counters.attempts == run.counted
        assert [error.to_name() for error in run.environment.stats.errors.values()] == [
            "POST /invocation: connect: Connection refused"
        ]


def test_a_user_that_pauses_because_the_server_is_down_stops_at_once() -> None:
    with swarm(make_user(), respond_all(OK)) as run:
        run.server.stop()
        run.start(3)
        run.client.disconnected_users += 100_000  # as if there were many more
        run.wait_for(lambda: run.client.counters.failures >= 3)
        with gevent.Timeout(2):
            run.stop(60)
        assert run.runner.user_count == 0


def test_timeouts_are_counted_and_users_go_on() -> None:
    def script(peer: Peer) -> None:
        if peer.number % 2:
            respond_all(OK)(peer)
        else:
            peer.wait_closed()

    with swarm(make_user(), script, deadlines=Deadlines(1, 1, 0.4)) as run:
        run.start(2)
        run.wait_for(lambda: run.served() > 50)
        run.stop()
        assert run.client.log.failure_counts == {ErrorKind.TIMEOUT: 1}


def test_tasks_of_ones_own_run_as_locust_runs_them() -> None:
    seen = []

    class Tasked(InferenceUser):
        wait_time = constant(0)

        @task
        def invoke_and_look(self) -> None:
            seen.append(self.invoke())

    with swarm(Tasked, respond_all(OK)) as run:
        run.start(2)
        run.wait_for(lambda: len(seen) > 20)
        run.stop()
        assert run.counted == len(seen) == run.served()
        assert run.client.counters.open == 0
        assert {outcome.status for outcome in seen} == {200}


def test_what_cannot_be_sent_uses_up_no_request() -> None:
    paths = deque(["/a path", "/right"] * 10)

    class Tasked(InferenceUser):
        wait_time = constant(0.001)

        @task
        def send_to_a_path_that_is_none(self) -> None:
            self.send(b"{}", path=paths.popleft() if paths else "/right")

    allowance = RequestAllowance()
    allowance.grant(0, 10)
    with swarm(Tasked, respond_all(OK)) as run:
        request = request_to(run.client)
        run.user_class.assignment = Assignment(run.client, lambda: request, allowance=allowance)
        run.start(2)
        run.wait_for(lambda: len(run.errors) == 10)
        run.wait_for(lambda: run.served() == 10)
        run.stop()
        assert (allowance.started, run.counted) == (10, 10)


def test_arrivals_say_when_to_send_and_latency_runs_from_there() -> None:
    class Schedule:
        def __init__(self) -> None:
            self.intended = iter(range(1, 1000))

        def wait_next(self) -> int:
            gevent.sleep(0.001)
            number = next(self.intended)
            if number > 30:
                raise StopUser
            return number

        def give_back(self, intended_ns: int) -> None:
            raise AssertionError(f"nobody is being stopped: {intended_ns}")

    with swarm(make_user(), respond_all(OK)) as run:
        request = request_to(run.client)
        run.user_class.assignment = Assignment(run.client, lambda: request, arrivals=Schedule())
        run.start(3)
        run.wait_for(lambda: run.runner.user_count == 0)
        batch = run.client.log.take_batch()
        assert batch.success_count == run.served() == 30
        intended = sorted((batch.done_ns - batch.latency_ns).tolist())
        assert intended == list(range(1, 31))
        assert (batch.service_ns < batch.latency_ns).all()


def test_an_arrival_for_a_user_that_is_being_stopped_is_given_back() -> None:
    class Schedule:
        def __init__(self) -> None:
            self.given_back: list[int] = []

        def wait_next(self) -> int:
            run.user_class.stopping._state = "stopping"
            return 7

        def give_back(self, intended_ns: int) -> None:
            self.given_back.append(intended_ns)

    class Stopping(InferenceUser):
        stopping: InferenceUser

        def on_start(self) -> None:
            type(self).stopping = self

    with swarm(Stopping, respond_all(OK)) as run:
        schedule, request = Schedule(), request_to(run.client)
        run.user_class.assignment = Assignment(run.client, lambda: request, arrivals=schedule)
        run.start(1)
        run.wait_for(lambda: run.runner.user_count == 0)
        assert schedule.given_back == [7]
        assert run.served() == 0


@pytest.mark.parametrize("method", ["run", "stop"])
def test_overrides_match_the_user_they_replace(method: str) -> None:
    from inspect import signature

    from locust import User

    assert list(signature(getattr(InferenceUser, method)).parameters) == list(
        signature(getattr(User, method)).parameters
    )
