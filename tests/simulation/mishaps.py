"""Unlucky moments: two things that go wrong at once, and peers who do what no peer of ours would.

One fault at a time hardly ever meets the instant that matters; here the second one is aimed at it.
"""

from __future__ import annotations

import math
import random
from typing import Any

from inference_swarm.cluster import events as e
from inference_swarm.cluster.protocol import (
    Envelope,
    GrantRequests,
    Hello,
    Message,
    OnceReport,
    ReleaseRun,
    Report,
    RequestsUsed,
    RowsReady,
    SetUsers,
)
from tests.simulation.load_model import Counted
from tests.simulation.sim_worker import SimWorker

# After this time without any worker a run is given up; after this time a lost worker is forgotten.
UNTIL_GIVEN_UP_S = 35.0
UNTIL_FORGOTTEN_S = 70.0
# They are given up after this time (cluster/locust_report.py, which this process does not import: Locust patches it).
TELL_S = 4.0


class Mishaps:
    """Drawn from a seed of their own, so that worlds without them stay what they are."""

    def __init__(self, world: Any, calm: bool) -> None:
        self._world = world
        self._rng = rng = random.Random(f"{world.seed} mishaps")
        self._is_on = not calm and rng.random() < 0.4
        self._ends_at_hello: set[str] = set()
        self._deeds = (
            self._leave_and_cut,
            self._come_back_and_leave,
            self._blink,
            self._odd_peer,
            self._all_end,
            self._edit_and_leave,
            self._edit_and_die,
            self._edit_and_die,
        )
        # The next run is asked for in the moment in which the results of the former one are written.
        self.is_hasty = self._is_on and rng.random() < 0.3
        # Some listener of a worker's users never returns, so that nobody learns that they have stopped.
        self.stuck_users = 0.05 if self._is_on and rng.random() < 0.15 else 0.0
        # The master's threads are busy: reports are read late.
        self.read_s = 8.0 if self._is_on and rng.random() < 0.15 else 0.0
        self.report_loss = 0.4 if self._is_on and rng.random() < 0.1 else 0.0
        self._grants_rng = random.Random(f"{world.seed} grants")
        self.grant_loss = 0.5 if not calm and self._grants_rng.random() < 0.3 else 0.0
        # Orders about users and arrivals are lost, often several in a row.
        self._orders_rng = random.Random(f"{world.seed} orders")
        self.order_loss = 0.5 if not calm and self._orders_rng.random() < 0.1 else 0.0
        self._aimed_rng = random.Random(f"{world.seed} aimed")
        self._is_aimed = not calm and self._aimed_rng.random() < 0.3
        self._behind_rng = random.Random(f"{world.seed} behind")
        self._is_behind = not calm and self._behind_rng.random() < 0.1
        # Listeners of reports take so long, one after the other.
        self._listeners_rng = random.Random(f"{world.seed} slow listener")
        self.are_listeners_slow = not calm and self._listeners_rng.random() < 0.06
        # Nobody stops the run for so long.
        self.patience_s = 0.0
        if world.is_massacre or (self._is_on and rng.random() < 0.06):
            self.patience_s = rng.choice((UNTIL_GIVEN_UP_S, UNTIL_FORGOTTEN_S))

    def plan(self, time_s: float) -> float:
        """Plans everything; returns when the last thing was asked for."""
        world, rng = self._world, self._rng
        if self._is_behind:
            at_s = self._behind_rng.uniform(1.0, time_s)
            world.do_at(at_s, "the master falls behind", lambda: world.disturb(self._fall_behind))
        if self._is_aimed:
            at_s = self._aimed_rng.uniform(2.5, 8.0)
            deed = self._aimed_rng.choice((self._cut_in_open_load, self._swap_and_die))
            world.do_at(at_s, deed.__name__[1:].replace("_", " "), lambda: world.disturb(deed))
        if not self._is_on:
            return time_s
        for _ in range(rng.randint(1, 3)):
            deed = rng.choice(self._deeds)
            at_s = rng.uniform(1.0, time_s + 1.0)
            world.do_at(at_s, deed.__name__[1:].replace("_", " "), lambda deed=deed: world.disturb(deed))
        if self.patience_s >= UNTIL_FORGOTTEN_S:
            world.do_at(rng.uniform(2.0, 8.0), "one dies", lambda: world.disturb(self._one_dies))
        return time_s

    def next_run(self, master: Any) -> None:
        """Somebody waits for the end of a run to start another one."""
        world, rng = self._world, self._rng
        run_id = f"hasty after {list(master.runs)[-1]}"
        if self.is_hasty and len(master.runs) < 3 and world.network.is_faulty:
            world.add_load(run_id)
            world.clock.after(rng.choice((0.0, 0.0, 0.2)) * rng.random(), lambda: master.start(run_id))

    def _someone(self) -> SimWorker | None:
        alive = [worker for worker in self._world.workers.values() if not worker.is_dead]
        return self._rng.choice(alive) if alive else None

    def _leave_and_cut(self) -> None:
        worker = self._someone()
        if worker is not None:
            worker.end()
            self._world.clock.after(2.0 * self._rng.random(), lambda: self._cut(worker, self._rng.uniform(1.0, 9.0)))

    def _come_back_and_leave(self) -> None:
        worker = self._someone()
        if worker is not None:
            pause_s = self._rng.uniform(3.0, 9.0)
            self._cut(worker, pause_s)
            if self._rng.random() < 0.5:
                self._ends_at_hello.add(worker.name)
            else:
                self._world.clock.after(pause_s + 1.2 * self._rng.random(), worker.end)

    def listening_s(self) -> float:
        """How long listeners take for a report."""
        return self._listeners_rng.uniform(0.0, TELL_S)

    def loses(self, message: Message) -> bool:
        """Some messages are lost more often: reports, and the end of a run, so that a worker hears of the next one."""
        if isinstance(message, Report):
            return self._rng.random() < self.report_loss and self._world.network.is_faulty
        if isinstance(message, SetUsers):
            return self._orders_rng.random() < self.order_loss and self._world.network.is_faulty
        if isinstance(message, GrantRequests):
            return self._grants_rng.random() < self.grant_loss and self._world.network.is_faulty
        return self.is_hasty and isinstance(message, ReleaseRun) and self._rng.random() < 0.2

    def sends(self, worker: str, message: Message) -> None:
        """A worker says something: some are told to end in the moment in which they are about to be welcome."""
        is_hello = isinstance(message, Hello) and not self._world.network.direction(worker, True).is_cut
        if is_hello and worker in self._ends_at_hello:
            self._ends_at_hello.discard(worker)
            self._world.clock.after(0.0, self._world.workers[worker].end)

    def _fall_behind(self) -> None:
        """The master handles nothing for a while of what comes from workers; some believe that it is gone."""
        world, master = self._world, self._world.master
        world.is_hurt = True
        master.fall_behind()
        world.clock.after(self._behind_rng.uniform(0.5, 12.0), lambda: world.disturb(master.catch_up))

    def _aimed_at(self) -> SimWorker | None:
        """Somebody, if arrivals are sent."""
        job = self._world.master.state.job
        alive = [worker for worker in self._world.workers.values() if not worker.is_dead]
        return self._aimed_rng.choice(alive) if alive and job is not None and job.load.is_open else None

    def _cut_in_open_load(self) -> None:
        """A worker with requests of its own is lost, and back before the run is closed that ended meanwhile."""
        worker = self._aimed_at()
        if worker is not None:
            self._cut(worker, self._aimed_rng.uniform(5.2, 7.5))

    def _swap_and_die(self) -> None:
        """One worker comes as another one leaves, so that others have as many arrivals as before; then one dies."""
        worker = self._aimed_at()
        if worker is None:
            return
        self._world.new_worker()
        self._world.clock.after(self._aimed_rng.uniform(0.0, 1.0), worker.end)
        other = self._aimed_at()
        if other is not None and other is not worker:
            self._world.is_hurt = True
            self._world.clock.after(self._aimed_rng.uniform(0.5, 3.0), lambda: self._world.disturb(other.die))

    def _one_dies(self) -> None:
        worker = self._someone()
        if worker is not None:
            self._world.is_hurt = True
            worker.die()

    def _edit_and_leave(self) -> None:
        """New users are on their way to a worker that is told to end."""
        worker = self._someone()
        self._edit(self._rng.randint(1, 6))
        if worker is not None:
            self._world.clock.after(0.1 * self._rng.random(), worker.end)

    def _edit_and_die(self) -> None:
        """A worker that has had no users for a while dies."""
        self._edit(1)
        self._world.clock.after(self._rng.uniform(6.0, 14.0), lambda: self._world.disturb(self._one_dies))

    def _edit(self, users: int) -> None:
        job = self._world.master.state.job
        if job is not None and job.load.stages is None:
            self._world.master.feed(e.Edit(users, 50.0))

    def _cut(self, worker: SimWorker, pause_s: float) -> None:
        world = self._world
        world.is_hurt = True
        for is_up in (True, False):
            world.network.cut(worker.name, is_up)
        world.clock.after(pause_s, lambda: world.disturb(lambda: world.heal(worker.name)))

    def _blink(self) -> None:
        """Processes that stand still for a moment, while an edit or another worker changes the users of all."""
        world, rng = self._world, self._rng
        world.is_hurt = True
        for worker in list(world.workers.values()):
            if rng.random() < 0.5:
                worker.freeze()
                world.clock.after(rng.uniform(0.2, 3.5), lambda worker=worker: world.disturb(worker.thaw))
        world.clock.after(0.3 * rng.random(), world.new_worker)

    def _all_end(self) -> None:
        """Ctrl-C reaches every process of a terminal at once."""
        world = self._world
        for worker in world.workers.values():
            world.clock.after(0.3 * self._rng.random(), worker.end)
        world.master.feed(e.Quit(ends_workers=True))

    def _odd_peer(self) -> None:
        """Workers speak of rows and requests of which they were not told, and report their end once more."""
        world = self._world
        worker, job = self._someone(), world.master.state.job
        if worker is None or job is None:
            return
        run_id = job.run_id
        lie = {"counted": Counted(run_id, "nobody", 0, True, 1.0, ended=1000)}
        for message in (
            RowsReady(run_id, 0, 1, 1, 0, 0.0, False),
            OnceReport.of(run_id, 0, ()),
        ):
            self._say(worker, message)
        world.master.receive("nobody", Envelope(1, Report(run_id, 0, True, lie, {}, None)))
        for other in world.workers.values():  # what the dead say would keep them alive
            is_cut = world.network.direction(other.name, is_up=True).is_cut
            if not (other.is_dead or other.is_frozen or is_cut):
                self._say(other, RequestsUsed(run_id, -1, 0, 0, 0, 0))
        for name, sequence in list(job.course.totals.finals.items()):
            again = {"counted": Counted(run_id, name, sequence + 1, True, math.inf)}
            used = RequestsUsed(run_id, 0, 0, 0, 0, 0)
            world.master.receive(name, Envelope(1, Report(run_id, sequence + 1, True, again, {}, None, used)))

    def _say(self, worker: SimWorker, message: Message) -> None:
        self._world.master.receive(worker.name, Envelope(worker.state.session, message))
