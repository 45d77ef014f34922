"""Locust's master with a coordinator in charge: messages go in, wishes go in, everything else is decided there."""

from __future__ import annotations

import logging
import sys
from typing import Any

import gevent
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import STATE_STOPPING, MasterRunner

from inference_swarm.cluster.aside import is_listener
from inference_swarm.cluster.boot import boot_id
from inference_swarm.cluster.channel import use_channel
from inference_swarm.cluster.control_messages import check_payload
from inference_swarm.cluster.ending import let_forked_end, let_threads_end, let_workers_end
from inference_swarm.cluster.events import ResetStatistics
from inference_swarm.cluster.file_limit import raise_file_limit
from inference_swarm.cluster.forked import find_forked
from inference_swarm.cluster.keys import MASTER
from inference_swarm.cluster.locust_test import LocustTest
from inference_swarm.cluster.master_adapter import MasterAdapter, RunServices
from inference_swarm.cluster.protocol import FROM_WORKER, MESSAGES, Envelope
from inference_swarm.cluster.run_control import Planner, RunControl
from inference_swarm.cluster.shown_users import ShownUsers
from inference_swarm.cluster.state import CoordinatorConfig
from inference_swarm.errors import ExitCode, ProtocolError
from locust import User

logger = logging.getLogger(__name__)
KINDS = {kind.type: kind for kind in FROM_WORKER}


class SwarmMasterRunner(MasterRunner):
    """`attach` gives it the services of its runs; before that it only holds its port."""

    server: Any

    def __init__(self, environment: Environment, master_bind_host: str, master_bind_port: int) -> None:
        self.channel = use_channel(environment.parsed_options, MASTER)
        self._events: Any = environment.events
        self._end: gevent.Greenlet | None = None
        self._forked = find_forked()  # its workers; what a locustfile forks comes later
        try:
            super().__init__(environment, master_bind_host, master_bind_port)
        except RPCError as error:
            logger.error(
                "The control channel of this master cannot be opened: %s.\n  Expected: a free port for workers to join."
                "\n  Fix: end the other master, or choose another port with --master-bind-port (and --master-port for "
                "workers).",
                error,
            )
            sys.exit(ExitCode.BAD_CONFIGURATION)

    def attach(self, services: RunServices, planner: Planner, swarm: str, *, ends_workers: bool) -> MasterAdapter:
        """Listen to workers and make runs possible from now on."""
        is_finite = bool(self.environment.parsed_options and self.environment.parsed_options.headless)
        self.test = LocustTest(self.environment, self, lambda: self.adapter.feed(ResetStatistics()))
        config = CoordinatorConfig(ends_after_run=is_finite, swarm=swarm, boot=boot_id())
        self.adapter = MasterAdapter(config, self._send, services, self.test, lambda: self.server.read_until_s)
        self.shown_users = ShownUsers(self.adapter.state)
        self.control = RunControl(self, self.adapter, planner, ends_workers=ends_workers)
        raise_file_limit()  # a connection for each worker
        self.greenlet.spawn(self._listen)
        self.adapter.begin()
        return self.adapter

    # what Locust asks

    def start(
        self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: list[type[User]] | None = None
    ) -> None:
        """Begin a run, or change the users of the one under way. Returns when they are spawned."""
        self.target_user_count = user_count
        self.spawn_rate = spawn_rate
        self.control.start(user_count, spawn_rate, user_classes)

    def stop(self, send_stop_to_client: bool = True) -> None:
        """End the run: users stop, every last report comes in, results are written."""
        self.control.stop()

    def quit(self) -> None:
        """Stop as `stop` does; then this process may end, and its workers with it if nobody will need them."""
        if self._end is None:
            self.control.quit()
        self.end_process()

    def end_process(self) -> None:
        """End the process, in which nothing is left to be done but to see its workers off.

        Whoever asks while that is being done waits for it: what follows is the end of the interpreter.
        """
        if is_listener():  # the end waits for it
            return
        if self._end is None:
            self._end = gevent.spawn(self._end_now)  # whoever asks may be killed meanwhile, as a load shape is
        self._end.join()

    def _end_now(self) -> None:
        self.adapter.wait_for_listeners()
        let_workers_end(self.adapter)
        self.test.aside.finish()
        let_forked_end(self._forked, self.adapter)
        self.adapter.close()
        let_threads_end()
        self.channel.dropped.log_counts()
        self.greenlet.kill(block=True)

    def check_stopped(self) -> None:
        """Do nothing: Locust guesses from its workers' states; here the coordinator knows."""

    def rebalancing_enabled(self) -> bool:
        """True: users are always kept; Locust's own rebalancing loses some."""
        return False

    @property
    def user_count(self) -> int:
        """The users that workers report; stopping users are not counted, those of leaving workers neither."""
        return self.shown_users.running if hasattr(self, "shown_users") else 0

    @property
    def draining_user_count(self) -> int:
        """The users that are stopping while others run in their place, on workers that leave."""
        return self.shown_users.draining

    @property
    def reported_user_classes_count(self) -> dict[str, int]:
        """The users by class."""
        total: dict[str, int] = {}
        for member in self.adapter.state.here():
            if member.is_leaving:
                continue
            for name, count in member.users.items():
                total[name] = total.get(name, 0) + count
        return total

    def notify_workers_complete(self, users: int) -> None:
        """Send Locust's own message to its listeners on workers."""
        self.send_message("spawning_complete", data={"user_count": users})

    # messages

    def heartbeat_worker(self) -> None:  # type: ignore[override]
        """Do nothing: the coordinator watches the heartbeats."""

    def client_listener(self) -> None:  # type: ignore[override]
        """Wait: no worker is heard before `attach`."""

    def _send(self, worker: str, envelope: Envelope) -> None:
        self.server.send_to_client(Message(envelope.message.type, envelope.to_wire(), worker))  # type: ignore[no-untyped-call]

    def _listen(self) -> None:
        while True:
            worker, message = self.server.recv_from_client()
            try:
                self.handle_message(worker, message)
            except ProtocolError as error:
                self.channel.dropped.note("a message that cannot be used", f"{error.found} (from {worker[:80]!a})")
            except Exception:
                self.channel.dropped.note("a message that failed in its handler", ascii(message.type)[:80])
                logger.exception("A %r message from worker %r failed", message.type[:80], worker[:80])

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Handle one message from any peer. Raises ProtocolError for one that cannot be used."""
        kind = KINDS.get(msg.type)
        if kind is not None:
            self.adapter.receive(client_id, Envelope.from_wire(kind, msg.data))
            self._update_node(client_id)
            return
        if client_id not in self.clients:
            self._on_unknown_peer(client_id, msg)
        elif msg.type in ("exception", "logs"):
            check_payload(msg)
            super().handle_message(client_id, msg)
        elif msg.type in self.custom_messages:
            handle = super().handle_message
            self.test.aside.do(lambda: handle(client_id, msg))
        else:
            raise ProtocolError(f"a message of unknown type {msg.type[:80]!a}")

    def _update_node(self, worker: str) -> None:
        self.shown_users.note(worker)
        member, node = self.adapter.state.members.get(worker), self.clients.get(worker)
        if member is not None and node is not None:
            node.state = STATE_STOPPING if member.is_leaving else member.state
            if not member.is_leaving or member.users or not self.shown_users.of(member):
                node.user_classes_count = member.users
            node.cpu_usage = member.cpu_percent
            node.memory_usage = member.memory_bytes

    def _on_unknown_peer(self, peer: str, msg: Message) -> None:
        if msg.type in ("client_ready", "locustfile"):
            self.channel.dropped.note(
                "a foreign join request", f"{peer[:80]!a} runs another locustfile, or Locust without inference_swarm"
            )
        elif msg.type not in MESSAGES and msg.type not in ("stats", "quit", "client_stopped", "logs", "exception"):
            self.channel.dropped.note(
                "a message from a peer that has not joined", f"{msg.type[:80]!a} from {peer[:80]!a}"
            )
