"""What the users of a process are to do in a run: where requests come from, and who is told of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from locust.exception import StopTest, StopUser

from inference_swarm.data.orders import Taken
from inference_swarm.load.allowance import RequestAllowance
from inference_swarm.load.example_rows import ExampleRows
from inference_swarm.load.pairs import Pairs
from inference_swarm.transport.client import InferenceClient

logger = logging.getLogger(__name__)
REFUSALS: set[str] = set()
"""What was refused in this run: said once, not for each user."""


class ArrivalFeed(Protocol):
    """Open load: the source of intended instants."""

    def wait_next(self) -> int:
        """Block the calling user until an arrival is assigned to it; returns the intended instant, monotonic ns."""

    def give_back(self, intended_ns: int) -> None:
        """The user that was given this arrival does not send it."""


class StoppedBeforeSending(StopUser):
    """The user was stopped while it waited for a row: the arrival that it holds, if any, was not sent."""


def refused(reason: str) -> StopTest:
    """Return what ends a user whose task does what this run does not allow; Locust itself says nothing of it."""
    if reason not in REFUSALS:
        REFUSALS.add(reason)
        logger.error("The users of this process end: %s", reason)
    return StopTest(reason)


def stop_without_rows() -> None:
    """End the user: the default for a source that is never empty before its end."""
    raise StopUser("no rows are left")


def no_row_is_counted(rows: Sequence[int]) -> None:
    """Do nothing: the default for rows that may be sent any number of times."""


def no_request_is_watched(request: bytes) -> bytes:
    """Return the request: the default where nobody looks at answers."""
    return request


@dataclass(slots=True)
class Assignment:
    """The work of a process's users in a run; wiring sets it before the first of them is spawned."""

    client: InferenceClient
    take: Callable[[], bytes | None]
    """The next request with `row_count` rows, or None while there is none, or a smaller one is due. May not wait: it is
    called inside the event loop."""
    wait_for_row: Callable[[], None] = stop_without_rows
    """Called by a user that got None; returns when it may ask again, raises StopUser when no row will come."""
    row_count: int = 1
    """Rows in each request, but for smaller ones of `take_rows`."""
    take_rows: Callable[[], Taken | None] | None = None
    """The next request of any size with the numbers of its rows, or None while there is none."""
    done: Callable[[Sequence[int]], None] = no_row_is_counted
    """Called with the rows of a request from `take_rows` when it has ended."""
    is_counted: bool = False
    """Each row is to be sent once: only `take_rows` may be used."""
    pairs: Pairs | None = None
    """A/B: where requests come from instead."""
    arrivals: ArrivalFeed | None = None
    example_rows: ExampleRows = field(default_factory=ExampleRows)
    peek: Callable[[], bytes | None] | None = None
    """Where `take` counts what it gives: the next request that is not to be sent as it is; None: `take` does not."""
    allowance: RequestAllowance | None = None
    """With `--requests`: what this process may still send."""
    forget: Callable[[bytes], bytes] = no_request_is_watched
    """Called with a request that was taken and will not be sent as it is; returns it."""
    counts_from_ns: int = 0
    """What was intended before this instant is in no statistics: a warm-up, or what a reset left behind."""

    @property
    def is_finite(self) -> bool:
        """True when the run ends with its last row or request, however long users take."""
        return self.is_counted or self.allowance is not None
