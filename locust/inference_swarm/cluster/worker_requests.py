"""`--requests` in this process: counts what users send, and says so to the agent. An edge: a greenlet, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import Event

from inference_swarm.cluster.agent_events import RequestsCounted
from inference_swarm.cluster.protocol import RequestsUsed
from inference_swarm.load.allowance import AHEAD_S, Need, RequestAllowance, RequestUse
from inference_swarm.load.assignment import Assignment
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.measure.recording import Recording

REPORT_S = 0.5
# When all that was granted is begun, the run may be over with the next response.
LAST_REPORT_S = 0.05
MIN_REPORT_S = 0.02
WAIT_S = 1.0


class WorkerRequests:
    """The requests of one run. Reports twice a second, when few are left, and as soon as the last has ended."""

    def __init__(
        self,
        run_id: str,
        count_users: Callable[[], int],
        dispatcher: ArrivalDispatcher | None,
        feed: Callable[[RequestsCounted], None],
    ) -> None:
        """`feed` takes what the agent is to know."""
        self.allowance = RequestAllowance()
        self._count_users = count_users
        self._dispatcher = dispatcher
        self._run_id = run_id
        self._feed = feed
        self._recording: Recording | None = None
        self._attempts_before = 0
        self._waiting = 0  # users that have no request to send; in an open load each holds an arrival
        self._wanted, self._granted = Event(), Event()
        self.allowance.on_low = self._wanted.set
        self._greenlet: gevent.Greenlet | None = None

    def count(self, assignment: Assignment) -> None:
        """Let users send no more than was granted."""
        wait_for_row, allowance = assignment.wait_for_row, self.allowance
        assignment.allowance = allowance
        assignment.peek = assignment.take
        assignment.take = allowance.counted(assignment.take)
        if assignment.take_rows is not None:
            assignment.take_rows = allowance.counted(assignment.take_rows)

        def wait_for_any() -> None:
            if not allowance.is_used_up:
                wait_for_row()
                return
            self._wanted.set()
            self._granted.clear()
            self._granted.wait(timeout=WAIT_S)

        def wait() -> None:
            self._waiting += 1
            try:
                wait_for_any()
            finally:
                self._waiting -= 1

        assignment.wait_for_row = wait

    def begin(self, recording: Recording) -> None:
        """Report from now on."""
        self._recording = recording
        self._attempts_before = recording.count_attempts()
        self._greenlet = gevent.spawn(self._report)

    def grant(self, number: int, limit: int) -> None:
        """Take up a grant of the master."""
        if self.allowance.grant(number, limit):
            self._granted.set()

    def use(self) -> RequestUse:
        """Return what was sent so far and what is wanted."""
        assert self._recording is not None
        now_s, ended = time.monotonic(), self._recording.count_attempts() - self._attempts_before
        dispatcher, allowance = self._dispatcher, self.allowance
        if dispatcher is None:
            return allowance.report(ended, allowance.need_of_users(self._count_users(), now_s), now_s)
        allowance.skip(dispatcher.dropped_count)
        count, is_exact = dispatcher.count_needed(AHEAD_S)
        return allowance.report(ended, Need(self._waiting + count, is_exact), now_s)

    def final(self) -> RequestsUsed:
        """Return how many were sent in the end; after the last snapshot, which counts what was dropped."""
        dropped = 0 if self._dispatcher is None else self._dispatcher.dropped_count
        return RequestsUsed.of(self._run_id, self.allowance.final_use(dropped))

    def close(self) -> None:
        """Report no more."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _report(self) -> None:
        while True:
            began_s = time.monotonic()
            self._wanted.clear()
            use = self.use()
            if self.allowance.is_to_be_told(use, began_s):
                self._feed(RequestsCounted(RequestsUsed.of(self._run_id, use)))
            gevent.sleep(MIN_REPORT_S)
            left_s = (LAST_REPORT_S if self.allowance.is_used_up else REPORT_S) - (time.monotonic() - began_s)
            self._wanted.wait(max(0.0, left_s))
