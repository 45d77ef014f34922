"""Gives each user the row of the arrival that it was given: between a dispatcher, a trace and the rows of this process.

An edge: it tells users apart by their greenlets.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from gevent import getcurrent

from inference_swarm.data.row_store import RowStore
from inference_swarm.data.trace_store import TraceStore
from inference_swarm.load.assignment import ArrivalFeed, refused
from inference_swarm.load.dispatcher import ArrivalDispatcher
from inference_swarm.load.trace_schedule import TraceSchedule

# A newcomer's first arrivals are at least so far ahead.
AHEAD_NS = 400_000_000


class TraceFeed:
    """The `ArrivalFeed` of users who replay a trace."""

    def __init__(
        self, dispatcher: ArrivalDispatcher, schedule: TraceSchedule, store: TraceStore, began_ns: int
    ) -> None:
        """`began_ns`: when the run began, by the clock of this process."""
        self._dispatcher = dispatcher
        self._schedule = schedule
        self._began_ns = began_ns
        self._given: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        store.next_row = self._row_of_this_user

    def wait_next(self) -> int:
        """Block the calling user until an arrival is assigned to it; returns the intended instant, monotonic ns."""
        intended_ns = self._dispatcher.wait_next()
        self._given[getcurrent()] = intended_ns
        return intended_ns

    def give_back(self, intended_ns: int) -> None:
        """The user that was given this arrival does not send it."""
        self._dispatcher.give_back(intended_ns)

    def _row_of_this_user(self) -> int:
        intended_ns = self._given.get(getcurrent())
        if intended_ns is None:
            raise refused("--arrival trace sends each row at its instant: tasks of one's own cannot take one")
        return self._schedule.trace.row_of(self._schedule.number_at(intended_ns - self._began_ns))


def arrivals_of(
    dispatcher: ArrivalDispatcher | None, store: RowStore | TraceStore, began_ns: int
) -> ArrivalFeed | None:
    """Return where users get their arrivals from, with their rows where each arrival has its own."""
    if dispatcher is None or not isinstance(store, TraceStore):
        return dispatcher
    schedule = dispatcher.schedule
    assert isinstance(schedule, TraceSchedule)
    offset_ns = time.monotonic_ns() - began_ns
    if offset_ns > AHEAD_NS:  # it joins in the middle of a run
        store.seek(schedule.trace.row_of(schedule.number_at(offset_ns)))
    return TraceFeed(dispatcher, schedule, store, began_ns)
