"""Starts and stops the simulated users of this process. An edge: greenlets, Locust's runner.

Stopping users finish their request in flight and send no other; they do not count as running.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.pool import Group
from locust.runners import STATE_INIT, STATE_SPAWNING, STATE_STOPPED
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from inference_swarm.load.assignment import REFUSALS, Assignment
from inference_swarm.load.spare_memory import give_back_memory
from inference_swarm.load.user import InferenceUser, no_wait
from locust import User, between

logger = logging.getLogger(__name__)
# Of users that begin together so many do in a turn of the event loop: between the turns those who run are served.
USERS_PER_TURN = 8
NEXT_TURN_S = 0.0005
# So long after users have begun, they are connected. While more and more begin, memory is given back this often.
SETTLED_AFTER_S = 1.0
# So long a run that ends with its last row goes on without users: a ramp's next step replaces those who have ended.
NOBODY_S = 30.0
# The `on_stop` of a user that was cut off may take so long.
ON_STOP_S = 3.0


class UserHost:
    """The users of one process. `runner` is Locust's, which spawns them and holds their greenlets.

    `on_failure` is told why it cannot go on: a user class raised something when a user was made of it (its other users
    are not made then), or all users have ended by themselves in a run that ends when all rows or requests are sent.
    """

    def __init__(self, runner: Any, on_failure: Callable[[str], None]) -> None:
        self._runner = runner
        self._on_failure = on_failure
        self._to_spawn: dict[str, int] = {}  # by class: users that begin in later turns
        self._spawning: gevent.Greenlet | None = None
        self._wanted: dict[str, int] = {}
        self._stops = 0  # of all users
        self._last_end_s = 0.0  # of a user that nobody had told to
        self._watching: gevent.Greenlet | None = None
        self._leaving: Group = Group()
        self._user_seconds = 0.0
        self._changed_s = time.monotonic()
        self._giving_back: gevent.Greenlet | None = None

    @property
    def count(self) -> int:
        """The number of users that are not stopping, with those that are about to begin."""
        return max(0, len(self._runner.user_greenlets) - len(self._leaving)) + sum(self._to_spawn.values())

    @property
    def leaving_count(self) -> int:
        """The number of users that are stopping: each ends the request that it has under way."""
        return len(self._leaving)

    def take_user_seconds(self) -> float:
        """Return users times the seconds they ran, since the last call."""
        self._note_time()
        seconds, self._user_seconds = self._user_seconds, 0.0
        return seconds

    def apply(self, users: Mapping[str, int], stop_timeout_s: float) -> None:
        """Start and stop users until exactly these run. Many do not begin at once."""
        self._note_time()
        host = self._runner.environment.host
        for user_class in self._runner.user_classes:
            if host:
                user_class.host = host
        self._wanted = dict(users)
        present = self._present()
        for name, count in users.items():
            if count > present.get(name, 0):
                self._to_spawn[name] = self._to_spawn.get(name, 0) + count - present.get(name, 0)
        if any(count > users.get(name, 0) for name, count in present.items()):
            self._stop_down_to(users, stop_timeout_s)
        if self._spawning is None or self._spawning.dead:
            self._spawning = gevent.spawn(self._spawn)  # what a class does when a user is made of it may take long
        if self._giving_back is None or self._giving_back.dead:
            self._giving_back = gevent.spawn_later(SETTLED_AFTER_S, give_back_memory)

    def _present(self) -> dict[str, int]:
        """Return the users by class that are not stopping; as ramps ask often, those of one class are not looked at."""
        classes = self._runner.user_classes
        if len(classes) == 1:
            return {classes[0].__name__: self.count}
        present = {name: len(users) for name, users in self._staying().items()}
        return {name: present.get(name, 0) + self._to_spawn.get(name, 0) for name in {*present, *self._to_spawn}}

    def _spawn(self) -> None:
        """As Locust's `spawn_users`, which counts all users each time, for a line of its log that nobody sees."""
        runner = self._runner
        if self._to_spawn and runner.state in (STATE_INIT, STATE_STOPPED):
            runner.update_state(STATE_SPAWNING)
        left = USERS_PER_TURN
        while self._to_spawn and left:
            left -= 1
            self._spawn_one(next(iter(self._to_spawn)))
        if self._to_spawn:
            self._spawning = gevent.spawn_later(NEXT_TURN_S, self._spawn)

    def _spawn_one(self, name: str) -> None:
        """A class may wait when a user is made of it: who is wanted then is known afterwards."""
        runner, stops = self._runner, self._stops
        try:
            user = runner.user_classes_by_name[name](runner.environment)
            if stops != self._stops or name not in self._to_spawn:
                return
            self._to_spawn[name] -= 1
            if not self._to_spawn[name]:
                del self._to_spawn[name]
            user.start(runner.user_greenlets)
            if isinstance(user, InferenceUser):
                user.greenlet.rawlink(self._note_end)
        except Exception as error:
            if stops == self._stops:
                self._to_spawn.pop(name, None)
                logger.error("Users cannot be started", exc_info=error)
                self._on_failure(f"its users cannot be started: {error!r}")

    def _note_end(self, greenlet: gevent.Greenlet) -> None:
        """A user has ended: told to, or by itself (StopUser, a failed `on_start`), as some locustfiles mean it."""
        if greenlet not in self._leaving:
            self._last_end_s = time.monotonic()
            if self._watching is None or self._watching.dead:
                self._watching = gevent.spawn(self._watch_for_nobody, self._stops)

    def _watch_for_nobody(self, stops: int) -> None:
        """Where a run ends with its last row, it has no end when nobody is left: the next order may replace them."""
        while (wait_s := self._last_end_s + NOBODY_S - time.monotonic()) > 0:
            gevent.sleep(wait_s)
        assignment = InferenceUser.assignment
        if stops != self._stops or assignment is None or not assignment.is_finite:
            return
        ours = [one.__name__ for one in self._runner.user_classes if issubclass(one, InferenceUser)]
        there = {*self._to_spawn, *self._staying()}
        if any(self._wanted.get(name) for name in ours) and there.isdisjoint(ours):
            self._on_failure("all its users have ended by themselves, and nobody is left to send the rest")

    def _stop_down_to(self, users: Mapping[str, int], stop_timeout_s: float) -> None:
        staying = self._staying()
        for name in {*staying, *self._to_spawn}:
            present, wanted = staying.get(name, []), users.get(name, 0)
            to_spawn = min(self._to_spawn.pop(name, 0), max(0, wanted - len(present)))
            if to_spawn:
                self._to_spawn[name] = to_spawn
            for user in present[wanted:]:
                self._leaving.add(user.greenlet)
                gevent.spawn(self._stop_one, user, stop_timeout_s)

    def stop_all(self, stop_timeout_s: float, then: Callable[[], None]) -> None:
        """Stop all users; calls `then` when none is left, which may take the stop timeout."""
        self._note_time()
        self._stops += 1
        self._watching = None  # the next run's users are watched anew
        self._to_spawn.clear()
        stopping = [user for users in self._staying().values() for user in users]
        for user in stopping:
            self._leaving.add(user.greenlet)
        # Those of now, on their way out or not: others may be started before these have stopped.
        greenlets = [greenlet for greenlet in self._runner.user_greenlets if not greenlet.dead]
        gevent.spawn(self._stop_and_tell, stopping, greenlets, stop_timeout_s, then)

    @staticmethod
    def _stop_and_tell(
        users: list[User], greenlets: list[gevent.Greenlet], stop_timeout_s: float, then: Callable[[], None]
    ) -> None:
        """All at once: what a user does in `on_stop` may take long, and the others would go on sending."""
        for user in users:
            if stop_timeout_s <= 0 or user._state in (None, LOCUST_STATE_WAITING):
                gevent.spawn(user.stop, force=stop_timeout_s <= 0)  # returns when it has ended
            else:
                _tell_to_stop(user)
        gevent.joinall(greenlets, timeout=max(stop_timeout_s, ON_STOP_S))
        for _ in ("what it does", "its on_stop"):
            gevent.killall([greenlet for greenlet in greenlets if not greenlet.dead], block=True, timeout=ON_STOP_S)
        then()

    @staticmethod
    def _stop_one(user: User, stop_timeout_s: float) -> None:
        if stop_timeout_s <= 0:
            user.stop(force=True)
            return
        greenlet = user.greenlet
        _tell_to_stop(user)
        greenlet.join(stop_timeout_s)
        greenlet.kill(block=False)

    def _staying(self) -> dict[str, list[User]]:
        staying: dict[str, list[User]] = {}
        for greenlet in list(self._runner.user_greenlets):
            if not greenlet.dead and greenlet.args and greenlet not in self._leaving:
                user = greenlet.args[0]
                staying.setdefault(type(user).__name__, []).append(user)
        return staying

    def _note_time(self) -> None:
        now_s = time.monotonic()
        self._user_seconds += self.count * (now_s - self._changed_s)
        self._changed_s = now_s


def _tell_to_stop(user: User) -> None:
    """One that has told itself (`self.stop()`), or whose class cannot be stopped, keeps no other from hearing it."""
    if user._state != LOCUST_STATE_STOPPING:
        try:
            user.stop()
        except Exception:
            logger.exception("A user cannot be stopped; it is cut off after the stop timeout")


def assign_users(assignment: Assignment, wait_min_s: float, wait_max_s: float) -> None:
    """Give users their work before the first is spawned. A subclass keeps a wait time of its own."""
    REFUSALS.clear()
    InferenceUser.assignment = assignment
    wait_time: Any = between(wait_min_s, wait_max_s) if wait_max_s > 0 else no_wait
    InferenceUser.wait_time = wait_time


def release_users() -> None:
    """Take the work from the users: the run's rows need not be kept in memory."""
    InferenceUser.assignment = None
