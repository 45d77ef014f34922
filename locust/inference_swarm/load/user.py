"""The simulated user: a Locust User whose loop sends rows, and what it needs to do so.

Locust's state, wait time, start and stop hooks, `request` event and error handling work as in a TaskSet; only the
task machinery is left out. A class with its own tasks runs as Locust runs it and sends with `self.invoke()`.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import gevent
from gevent import GreenletExit
from locust.env import Environment
from locust.exception import RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from inference_swarm.load.assignment import ArrivalFeed, Assignment, StoppedBeforeSending, refused
from inference_swarm.load.listeners import is_locusts_own, notify_of, without_locusts_own
from inference_swarm.load.pair_attempt import attempt_of_pair
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.outcome import Outcome
from inference_swarm.transport.request_edit import body_of, edited
from locust import User

logger = logging.getLogger(__name__)


def no_wait(user: User) -> float:
    """The wait time of a user that sends as fast as responses arrive."""
    return 0.0


class InferenceUser(User):
    """Sends row after row over its own connection; `wait_time` and `on_start`/`on_stop` may be set as for any User."""

    abstract = True
    wait_time = no_wait
    assignment: ClassVar[Assignment | None] = None
    holds_connection: ClassVar[bool] = True  # so as many users as files may be opened; False: it need not have one
    # Locust warns of a class without tasks unless it has "functions" to run, as its PytestUser does.
    functions: ClassVar[tuple[str, ...]] = ("run",)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._connection: Connection | None = None
        self._connections_of_sides: list[Connection] = []
        self._example = b""
        self._listeners: list[Callable[..., Any]] = environment.events.request._handlers
        self._own_listener_count = sum(map(is_locusts_own, self._listeners))

    def run(self) -> None:  # type: ignore[misc]  # final only to keep users from it by accident
        if self.tasks:
            try:
                super().run()  # type: ignore[no-untyped-call]
            finally:
                self._release()
            return
        self._state = LOCUST_STATE_RUNNING
        try:
            try:
                self.on_start()
            except Exception as error:
                logger.error("%s\n%s", error, traceback.format_exc())
                if not isinstance(error, (StopUser, StopTest)):
                    self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
                raise
            self._send_until_stopped()
        except (GreenletExit, StopUser, StopTest):
            self.on_stop()  # type: ignore[no-untyped-call]
        finally:
            self._release()

    def stop(self, force: bool = False) -> bool:
        if self._state == LOCUST_STATE_WAITING and not force:
            # Its sleep may be over already: without this it would send once more and be killed in the middle of it.
            self._state = LOCUST_STATE_STOPPING
            self.group.killone(self.greenlet)
            return True
        is_stopped: bool = super().stop(force)
        if self._connection is not None:
            self._connection.end_fast_path()
        return is_stopped

    def wait(self) -> None:
        """Sleep for the wait time, as `User.wait`; a user that waits is stopped at once."""
        if self._taskset_instance is not None:
            super().wait()  # type: ignore[no-untyped-call]
        else:
            self._wait()

    def invoke(self) -> Outcome:
        """Make one attempt with the next row, reported like any other; for custom tasks."""
        assignment, connection = self._prepare()
        return self._attempt(assignment, connection, time.monotonic_ns())

    def next_body(self) -> bytes:
        """Return the body of the next row, for `send`; for custom tasks. Raises StopUser when no row will come."""
        return body_of(self._unsent_request(self._prepare()[0]))

    def send(
        self,
        body: bytes,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        row_count: int = 1,
    ) -> Outcome:
        """Make one attempt with this body, counted under `name`, with another path (and its query) and headers."""
        assignment, connection = self._prepare()
        if not self._example:
            self._example = self._unsent_request(assignment)
        request, log = edited(self._example, body, path=path, headers=headers), assignment.client.logs_of(name)[0]
        while assignment.allowance is not None and not assignment.allowance.take_one():  # last: nothing refuses now
            self._wait_for_row(assignment)
        connection.log = log
        start_s = time.time()
        try:
            outcome = connection.attempt(request, time.monotonic_ns(), row_count)
        finally:
            connection.log = assignment.client.log
        if outcome.error is not None:
            assignment.example_rows.note(outcome, request)
        self._note(assignment, connection, outcome, start_s, name)
        return outcome

    def _unsent_request(self, assignment: Assignment) -> bytes:
        return assignment.forget(self._next_request(assignment, assignment.peek))  # it counts nowhere

    def _next_request(self, assignment: Assignment, take: Callable[[], bytes | None] | None = None) -> bytes:
        if assignment.take_rows is not None:
            raise refused("--row-order once counts each row that is sent: only invoke() may take one")
        if assignment.pairs is not None:
            raise refused("--ab sends each row to both variants: only invoke() may take one")
        while (request := (take or assignment.take)()) is None:
            self._wait_for_row(assignment)
        return request

    # the loops

    def _send_until_stopped(self) -> NoReturn:
        while True:
            try:
                self._send()
            except (StopUser, StopTest, GreenletExit):
                raise
            except RescheduleTaskImmediately:
                continue
            except RescheduleTask:
                self._wait()
            except Exception as error:
                self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
                if not self.environment.catch_exceptions:
                    raise
                logger.error("%s\n%s", error, traceback.format_exc())
                gevent.sleep(0)
                self._wait()

    def _send(self) -> NoReturn:
        assignment, connection = self._prepare()
        if assignment.arrivals is not None:
            self._send_at_arrivals(assignment, connection, assignment.arrivals)
        if type(self).wait_time is not no_wait or assignment.is_counted or assignment.pairs is not None:
            self._send_one_by_one(assignment, connection)
        self._send_at_once(assignment, connection)

    def _send_at_once(self, assignment: Assignment, connection: Connection) -> NoReturn:
        """Closed loop without a wait: the fast path sends; this greenlet wakes for everything unusual."""
        listeners, own_count = self._listeners, self._own_listener_count
        while self._state != LOCUST_STATE_STOPPING:
            if len(listeners) != own_count:
                self._attempt(assignment, connection, 0)
                continue
            outcome = connection.attempt_repeatedly(assignment.take, listeners, own_count, assignment.row_count)
            if connection.is_starved and assignment.take_rows is None:
                self._wait_for_row(assignment)
            elif connection.is_starved:  # a smaller batch may be due
                self._attempt(assignment, connection, 0)
            elif outcome is not None:
                if outcome.error is not None:
                    assignment.example_rows.note(outcome, connection.failed_request)
                assignment.client.log.add(outcome)
                if outcome.error is not None:
                    self._pause(connection.pause_s)
        raise StopUser

    def _send_one_by_one(self, assignment: Assignment, connection: Connection) -> NoReturn:
        while self._state != LOCUST_STATE_STOPPING:
            self._attempt(assignment, connection, 0)
            if type(self).wait_time is not no_wait:
                self._wait()
        raise StopUser

    def _send_at_arrivals(self, assignment: Assignment, connection: Connection, arrivals: ArrivalFeed) -> NoReturn:
        while self._state != LOCUST_STATE_STOPPING:
            self._state = LOCUST_STATE_WAITING
            intended_ns = arrivals.wait_next()
            if self._state == LOCUST_STATE_STOPPING:  # it was handed over while the user was about to be woken
                arrivals.give_back(intended_ns)
                break
            self._state = LOCUST_STATE_RUNNING
            try:
                self._attempt(assignment, connection, intended_ns)
            except StoppedBeforeSending:
                arrivals.give_back(intended_ns)
                raise
        raise StopUser

    def _wait_for_row(self, assignment: Assignment) -> None:
        if self._state == LOCUST_STATE_STOPPING:
            raise StoppedBeforeSending
        self._state = LOCUST_STATE_WAITING
        try:
            assignment.wait_for_row()
        except GreenletExit:
            raise StoppedBeforeSending from None
        self._state = LOCUST_STATE_RUNNING

    def _wait(self) -> None:
        if self._state == LOCUST_STATE_STOPPING:
            raise StopUser
        self._sleep(self.wait_time())

    def _pause(self, pause_s: float) -> None:
        """Pause after a failure, as a refused connection fails at once. A user that pauses is stopped at once."""
        if not pause_s:
            gevent.sleep(0)
            return
        if self._state == LOCUST_STATE_STOPPING:
            raise StopUser
        self._sleep(pause_s)

    def _sleep(self, seconds: float) -> None:
        self._state = LOCUST_STATE_WAITING
        gevent.sleep(seconds)
        if self._state == LOCUST_STATE_STOPPING:
            raise StopUser
        self._state = LOCUST_STATE_RUNNING

    # one attempt

    def _attempt(self, assignment: Assignment, connection: Connection, intended_ns: int) -> Outcome:
        if assignment.pairs is not None:
            done = attempt_of_pair(
                assignment, assignment.pairs, self._connections_of_sides, self._wait_for_row, intended_ns
            )
            self._note(assignment, done.connection, done.outcome, done.start_s)
            return done.outcome
        if assignment.take_rows is None:
            request = self._next_request(assignment)
            start_s = time.time()
            outcome = connection.attempt(request, intended_ns, assignment.row_count)
            if outcome.error is not None:
                assignment.example_rows.note(outcome, request)
        else:
            while (taken := assignment.take_rows()) is None:
                self._wait_for_row(assignment)
            rows, request = taken
            start_s = time.time()
            try:
                outcome = connection.attempt(request, intended_ns, len(rows))
                outcome.rows = rows
            finally:
                assignment.done(rows)
        self._note(assignment, connection, outcome, start_s)
        return outcome

    def _note(
        self, assignment: Assignment, connection: Connection, outcome: Outcome, start_s: float, name: str | None = None
    ) -> None:
        """Count an attempt, notify listeners of it, and pause after one that failed."""
        log, notified_log = connection.client.logs_of(name)
        if len(self._listeners) == self._own_listener_count:
            log.add(outcome)
        else:
            notified_log.add(outcome)
            hook = self.environment.events.request
            hook = hook if outcome.intended_ns >= assignment.counts_from_ns else without_locusts_own(hook)
            notify_of(hook, outcome, connection.client.target, name, start_s, {**self.context()})
        if outcome.error is not None:
            # In an open load it is the schedule that paces.
            self._pause(connection.pause_s if assignment.arrivals is None else 0)

    def _prepare(self) -> tuple[Assignment, Connection]:
        assignment = type(self).assignment
        if assignment is None:
            raise StopUser("no rows were assigned to this process")
        if self._connection is None:
            self._connection = assignment.client.connect()
        return assignment, self._connection

    def _release(self) -> None:
        for connection in (self._connection, *self._connections_of_sides):
            if connection is not None:
                connection.release()
        self._connection, self._connections_of_sides = None, []
