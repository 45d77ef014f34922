"""The open stream of one user: made when it is wanted, replaced when it is old or the server has closed it. An edge."""

from __future__ import annotations

import random
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from inference_swarm.transport.deadlines import DeadlineExceeded, Wait
from inference_swarm.transport.fast_path import FastPath
from inference_swarm.transport.outcome import AttemptError, ErrorKind
from inference_swarm.transport.stream import Stream

if TYPE_CHECKING:
    from inference_swarm.transport.client import InferenceClient

IDLE_NS: Final = 1_000_000_000
FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 1.0
MAX_CONNECTS_PER_S: Final = 200.0
"""Of the users of a process whose last connection could not be made, all together, once they have begun to pause."""
MAX_SHARED_PAUSE_S: Final = 10.0
_NS_PER_S: Final = 1_000_000_000


class Session:
    """Belongs to the greenlet of `wait`, whose instants say how long the stream has been idle."""

    __slots__ = ("_client", "_failed_opens", "_has_been_open", "_wait", "fast_path", "stream")

    def __init__(self, client: InferenceClient, wait: Wait) -> None:
        self._client = client
        self._wait = wait
        self._has_been_open = False
        self._failed_opens = 0
        self.stream: Stream | None = None
        self.fast_path: FastPath | None = None

    @property
    def is_surely_fit(self) -> bool:
        """Return whether the stream is fit without a check; an idle one may be closed unnoticed on a busy loop."""
        stream = self.stream
        if stream is None or stream.is_stale or stream.is_expired:
            return False
        return monotonic_ns() - self._wait.done_ns <= IDLE_NS

    @property
    def pause_s(self) -> float:
        """The time to wait before `open` is called again: longer with each failure in a row.

        A server that is down is then not asked thousands of times a second, however many the users are.
        """
        if not self._failed_opens:
            return 0.0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (min(self._failed_opens, 10) - 1), MAX_PAUSE_S)
        pause_s = max(pause_s, min(self._client.disconnected_users / MAX_CONNECTS_PER_S, MAX_SHARED_PAUSE_S))
        return pause_s * random.uniform(0.75, 1.0)

    def find_fit(self) -> Stream | None:
        """Return the open stream, if a check shows that another request may go out on it."""
        stream, limits = self.stream, self._client.idle_limits
        if stream is None:
            return None
        idle_ns = monotonic_ns() - self._wait.done_ns
        if stream.is_expired:
            self.close()
            return None
        if not stream.is_still_fit():
            limits.note_close((stream.stale_since_ns or monotonic_ns()) - self._wait.done_ns)
            self.close()
            return None
        limit_ns = limits.find_risk(idle_ns)
        if limit_ns is None:
            return stream
        self.stream = self.fast_path = None
        self._client.retire(stream, limit_ns)
        return None

    def open(self) -> Stream:
        """Connect. Raises AttemptError."""
        client, wait = self._client, self._wait
        client.counters.attempts += 1
        client.counters.reconnects += self._has_been_open
        phase = ""

        def note_phase(words: str) -> None:
            nonlocal phase
            phase = words

        wait.phase_due_ns = monotonic_ns() + round(client.rules.deadlines.connect_s * _NS_PER_S)
        try:
            opened = client.dialer.open(note_phase)
        except BaseException as error:
            client.counters.failures += 1
            client.disconnected_users += not self._failed_opens
            self._failed_opens += 1
            if isinstance(error, DeadlineExceeded):
                detail = f"{phase} within {client.rules.deadlines.connect_s:g} s"
                raise AttemptError(ErrorKind.TIMEOUT, detail) from None
            raise
        finally:
            wait.phase_due_ns = 0
        stream = self.stream = Stream(opened, wait, client.shapes.buffer, client.note_opened(opened.address))
        if (lifetime_s := client.rules.connection_lifetime_s) is not None:
            # A little earlier, each at another time: not all users connect again at once.
            stream.expire_after(lifetime_s * random.uniform(0.9, 1.0), self.end_fast_path)
        self._has_been_open = True
        self._forget_failures()
        return stream

    def fast_path_of(self, stream: Stream) -> FastPath:
        """Return the fast path of the open stream; users that wait between requests never need one."""
        if self.fast_path is None:
            self.fast_path = FastPath(stream, self._client.shapes, self._client.rules.answers)
        return self.fast_path

    def end_fast_path(self) -> None:
        """The attempt under way is the last on the fast path."""
        if self.fast_path is not None:
            self.fast_path.end()

    def close(self) -> None:
        stream, self.stream, self.fast_path = self.stream, None, None
        if stream is not None:
            stream.close()
            self._client.note_closed(stream.address)

    def release(self) -> None:
        """Closes for good."""
        self.close()
        self._forget_failures()

    def _forget_failures(self) -> None:
        self._client.disconnected_users -= self._failed_opens > 0
        self._failed_opens = 0
