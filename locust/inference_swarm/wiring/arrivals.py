"""Open load over the swarm: the master says when it began and which part each worker plays, workers play it.

One clock: the master's monotonic one. On the master's own machine it is the worker's as well (same boot, same clock).
Elsewhere a worker asks for it a few times and believes the quickest answer, so that its error is at most half of that
answer's round trip. The error shifts a worker's arrivals against those of the others; latencies are taken from instants
of the worker's own clock and have none of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gevent

from inference_swarm.config.settings import Settings
from inference_swarm.load.arrivals import Part, Share
from inference_swarm.load.player import ArrivalPlayer
from inference_swarm.run.plan import schedule_of

logger = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
# From the announcement of new parts until they hold: more than any worker has looked ahead and a message takes.
CHANGE_LEAD_NS = 400_000_000
CLOCK_QUESTIONS = 10
CLOCK_PAUSE_S = 0.05
CLOCK_MESSAGE = "swarm_clock"
BEGIN_MESSAGE = "swarm_begin"


@cache
def boot_id() -> str:
    """Processes with the same one read the same monotonic clock (containers of one machine too); empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class ArrivalParts:
    """The master's side: answers what time it is, and gives every worker its part whenever the workers change."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._run_id = ""
        self._began_ns = 0
        self._workers: tuple[str, ...] = ()
        runner.register_message(CLOCK_MESSAGE, self._on_clock)

    def begin(self, run_id: str, began_ns: int, workers: Sequence[str]) -> None:
        """A run begins at an instant of this process's clock; before the first user is spawned."""
        self._run_id, self._began_ns, self._workers = run_id, began_ns, ()
        self._share_out(workers, from_ns=0)

    def on_workers_changed(self, workers: Sequence[str]) -> None:
        """From now on these workers, and no others, play the schedule: at a join (rows ready) and at every loss."""
        if self._run_id and tuple(workers) != self._workers:
            self._share_out(workers, from_ns=time.monotonic_ns() + CHANGE_LEAD_NS - self._began_ns)

    def end(self) -> None:
        """The run is over."""
        self._run_id = ""

    def _share_out(self, workers: Sequence[str], from_ns: int) -> None:
        left = [worker for worker in self._workers if worker not in workers and worker in self._runner.clients]
        parts = [(worker, place, len(workers)) for place, worker in enumerate(workers)]
        for worker, place, of in [*parts, *((worker, 0, 0) for worker in left)]:
            data = {
                "run_id": self._run_id,
                "began_ns": self._began_ns,
                "now_ns": time.monotonic_ns(),
                "boot": boot_id(),
                "place": place,
                "of": of,
                "from_ns": max(0, from_ns),
            }
            self._runner.send_message(BEGIN_MESSAGE, data, worker)
        self._workers = tuple(workers)

    def _on_clock(self, msg: Any, **_: Any) -> None:
        answer = {"sent_ns": msg.data["sent_ns"], "master_ns": time.monotonic_ns(), "boot": boot_id()}
        self._runner.send_message(CLOCK_MESSAGE, answer, msg.node_id)


class MasterClock:
    """What the master's clock says, as a worker knows it."""

    def __init__(self) -> None:
        self._offset_ns = 0
        self.error_ns: int | None = None
        """At most so far off; None until an answer has come."""

    def note(self, sent_ns: int, master_ns: int, received_ns: int, boot: str) -> None:
        """An answer; the quickest one is believed, unless both processes read the same clock."""
        if self._is_same(boot):
            return
        error_ns = (received_ns - sent_ns) // 2
        if self.error_ns is None or error_ns < self.error_ns:
            self._offset_ns, self.error_ns = (sent_ns + received_ns) // 2 - master_ns, error_ns

    def note_message(self, master_ns: int, received_ns: int, boot: str) -> None:
        """A message that says when it was sent: better than nothing, since it cannot have come before."""
        if not self._is_same(boot) and self.error_ns is None:
            self._offset_ns = received_ns - master_ns

    def _is_same(self, boot: str) -> bool:
        if boot and boot == boot_id():
            self._offset_ns = self.error_ns = 0
            return True
        return False

    def to_local_ns(self, master_ns: int) -> int:
        """The same instant on this process's clock."""
        return master_ns + self._offset_ns


class ArrivalShare:
    """A worker's side: knows when the run began by its own clock, and plays its part of an open load."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._clock = MasterClock()
        self._run_id = ""
        self._began_ns = 0
        self._part = (Part(0, 0), 0)
        self._player: ArrivalPlayer | None = None
        runner.register_message(CLOCK_MESSAGE, self._on_clock)
        runner.register_message(BEGIN_MESSAGE, self._on_begin)

    def ask_clock(self) -> None:
        """While a run is prepared."""
        self._clock = MasterClock()
        gevent.spawn(self._ask_some_times)

    def began_ns(self, run_id: str) -> int:
        """When the run began, on this process's clock; now if the master has not said so."""
        return self._began_ns if run_id == self._run_id else time.monotonic_ns()

    def player(self, run_id: str, settings: Settings) -> ArrivalPlayer | None:
        """What the users of this run wait for; None for a closed load."""
        if run_id != self._run_id:
            self._began_ns, self._part, self._run_id = time.monotonic_ns(), (Part(0, 0), 0), run_id
        part, from_ns = self._part
        # One that joins begins where its part begins, not with all that was before.
        self._player = make_player(settings, self._began_ns, part, from_ns)
        return self._player

    def _ask_some_times(self) -> None:
        for _ in range(CLOCK_QUESTIONS):
            self._runner.send_message(CLOCK_MESSAGE, {"sent_ns": time.monotonic_ns()})
            gevent.sleep(CLOCK_PAUSE_S)

    def _on_clock(self, msg: Any, **_: Any) -> None:
        self._clock.note(msg.data["sent_ns"], msg.data["master_ns"], time.monotonic_ns(), msg.data["boot"])

    def _on_begin(self, msg: Any, **_: Any) -> None:
        data = msg.data
        self._clock.note_message(data["now_ns"], time.monotonic_ns(), data["boot"])
        part = Part(data["place"], data["of"])
        if data["run_id"] == self._run_id and self._player is not None:
            really_ns = self._player.change(part, data["from_ns"])
            if really_ns != data["from_ns"]:
                late_ms = (really_ns - data["from_ns"]) / 1e6
                logger.warning("The new part of the arrivals came %.0f ms too late; some may be sent twice", late_ms)
        else:
            self._player = None
            self._began_ns = self._clock.to_local_ns(data["began_ns"])
        self._run_id, self._part = data["run_id"], (part, data["from_ns"])


def make_player(settings: Settings, began_ns: int, part: Part, from_ns: int = 0) -> ArrivalPlayer | None:
    """Plays a part of the settings' schedule; None for a closed load."""
    schedule = schedule_of(settings)
    if schedule is None:
        return None
    return ArrivalPlayer(
        Share(schedule, part, from_ns), began_ns, drop_after_ns=round(settings.drop_after_s * NS_PER_S)
    )
