"""Locust's three runners with a place to prepare a run before its first user and to finish it after its last.

What is prepared and finished (shards, snapshots, result files) is behind the two Protocols; wiring fills them in.
Replaces nothing of Locust but the moments: `locust.env` builds these classes instead of its own.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import locust.env
from locust.dispatch import UsersDispatcher
from locust.rpc import Message
from locust.runners import (
    STATE_CLEANUP,
    STATE_INIT,
    STATE_RUNNING,
    STATE_SPAWNING,
    STATE_STOPPED,
    STATE_STOPPING,
    LocalRunner,
    MasterRunner,
    WorkerRunner,
)

from inference_swarm.errors import SwarmError

logger = logging.getLogger(__name__)

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)


class RunKeeper(Protocol):
    """What master and single process do around a run."""

    def prepare_run(self) -> None:
        """Blocks until rows are ready to be sent. Raises SwarmError to refuse the run."""

    def refuse_run(self, error: SwarmError) -> None:
        """The run could not be prepared."""

    def begin_run(self) -> None:
        """The first user is about to be spawned."""

    def end_load(self) -> None:
        """Users are about to be stopped: the measured time ends here."""

    def finish_run(self) -> None:
        """All users have stopped: collect what is missing and write the results."""

    def has_rows(self, worker_id: str) -> bool:
        """Whether users can be given to this worker."""


class WorkerKeeper(Protocol):
    """What a worker does around a run."""

    def finish_run(self) -> None:
        """All users have stopped; the next report is the final one."""


class ServingDispatcher(UsersDispatcher):
    """Spreads users over the workers that have rows to send."""

    keeper: RunKeeper | None = None

    def __init__(self, worker_nodes: list[Any], user_classes: list[type[locust.User]]) -> None:
        keeper = type(self).keeper
        serving = [node for node in worker_nodes if keeper is None or keeper.has_rows(node.id)]
        super().__init__(worker_nodes=serving, user_classes=user_classes)


class _Prepared:
    """Mixin of master and single process."""

    keeper: RunKeeper
    state: str
    _is_preparing = False
    _is_cancelled = False

    def _prepare(self) -> bool:
        """Whether the run may begin now."""
        if self._is_preparing:
            logger.info("The run is being prepared already")
            return False
        self._is_preparing, self._is_cancelled = True, False
        try:
            self.keeper.prepare_run()
        except SwarmError as error:
            self.keeper.refuse_run(error)
            return False
        finally:
            self._is_preparing = False
        if self._is_cancelled:
            logger.info("The run was stopped while it was being prepared")
            return False
        self.keeper.begin_run()
        return True


class SwarmMasterRunner(_Prepared, MasterRunner):
    """Prepares shards before the first user, and waits for every worker's last report after the last."""

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        if self.state not in ACTIVE_STATES:
            if not (self.clients.ready or self.clients.running or self.clients.spawning):
                logger.warning("No worker has joined yet: the run cannot begin")
                return
            if not self._prepare():
                return
        super().start(user_count, spawn_rate, wait, user_classes)

    def stop(self, send_stop_to_client: bool = True) -> None:
        self._is_cancelled = True
        if self.state in (STATE_INIT, STATE_STOPPED, STATE_STOPPING):
            return
        self.keeper.end_load()
        # Always an ordered stop: without it the workers' last reports race with the end of this process.
        super().stop(send_stop_to_client=True)
        self.keeper.finish_run()


class SwarmLocalRunner(_Prepared, LocalRunner):
    """Master and worker in one process."""

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        if self.state not in ACTIVE_STATES and not self._prepare():
            return
        super().start(user_count, spawn_rate, wait, user_classes)

    def stop(self) -> None:
        self._is_cancelled = True
        if self.state not in ACTIVE_STATES:
            super().stop()
            return
        self.keeper.end_load()
        super().stop()
        self.keeper.finish_run()


class SwarmWorkerRunner(WorkerRunner):
    """Sends its last report before it says that it has stopped."""

    keeper: WorkerKeeper

    def handle_message(self, msg: Message) -> None:
        if msg.type == "stop":
            # In its own greenlet: users may take the whole stop timeout, heartbeats must go on meanwhile.
            self.greenlet.spawn(self._stop_and_rejoin)
        else:
            super().handle_message(msg)

    def stop(self) -> None:
        was_active = self.state in ACTIVE_STATES
        super().stop()
        if was_active:
            self.keeper.finish_run()
            self._send_stats()

    def _stop_and_rejoin(self) -> None:
        if self.state != STATE_CLEANUP:
            self.stop()
        self.send_message("client_stopped")
        self.send_message("client_ready", locust.__version__)  # type: ignore[arg-type]
        self.worker_state = STATE_INIT


def install_runners() -> None:
    """Locust builds our runners from now on."""
    for name, runner in (
        ("MasterRunner", SwarmMasterRunner),
        ("WorkerRunner", SwarmWorkerRunner),
        ("LocalRunner", SwarmLocalRunner),
    ):
        setattr(locust.env, name, runner)
