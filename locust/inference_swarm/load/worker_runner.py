"""Locust's worker with our order of events: it joins by a hello, sends its last report before it says that it has
stopped, delivers everything before it leaves, and stops its users by itself when the master is gone.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any
from uuid import uuid4

import gevent
from gevent.event import Event
from gevent.pool import Group
from locust.argument_parser import default_args_dict
from locust.rpc import Message
from locust.runners import (
    STATE_CLEANUP,
    STATE_INIT,
    STATE_RUNNING,
    STATE_SPAWNING,
    WORKER_REPORT_INTERVAL,
    WorkerRunner,
)

import inference_swarm
from inference_swarm.data.messages import PROTOCOL_VERSION, SwarmHello, SwarmRefused
from inference_swarm.data.messages import Message as OurMessage
from inference_swarm.errors import ExitCode, ProtocolError
from inference_swarm.load.control_channel import use_channel
from inference_swarm.load.control_keys import WORKER
from inference_swarm.load.join_messages import Leaving, Rejoin, Welcome
from inference_swarm.load.keepers import WorkerKeeper

logger = logging.getLogger(__name__)

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)
HELLO_PERIOD_S = 1.0
HEARTBEAT_S = 1.0
# Of --master-timeout, the part after which users are told to stop: the rest is for them to hear it.
STOP_AFTER_PART = 0.8
WATCH_PERIOD_S = 0.1
NEW_SOCKET_AFTER_S = 15.0
LOG_WAITING_S = 30.0
DELIVERY_TIMEOUT_S = 10.0


class SwarmWorkerRunner(WorkerRunner):
    """Takes part in a swarm from `join` on, until it is told to quit or its process is."""

    keeper: WorkerKeeper
    client: Any

    def __init__(self, environment: Any, master_host: str, master_port: int) -> None:
        options = environment.parsed_options
        self.channel = use_channel(options, WORKER)
        self._silence_s = STOP_AFTER_PART * float(getattr(options, "master_timeout_s", 5.0))
        self._session = ""
        self._is_joined = Event()
        self._is_leaving = False
        # Of Locust's own options a worker takes these from the master, and all that are not Locust's.
        self._locusts_options = set(default_args_dict()) - {"expect_workers", "tags", "exclude_tags"}
        self._leaving_users: Group = Group()
        self._heard_s = 0.0
        self._stopper: gevent.Greenlet | None = None
        self._events: Any = environment.events
        super().__init__(environment, master_host, master_port)
        environment.process_exit_code = ExitCode.PASSED

    def join(self) -> None:
        """Looks for the master from now on. Not before `keeper` can take what it says."""
        self.greenlet.spawn(self._say_hello)
        self._events.quitting.add_listener(self._on_quitting)

    # joining

    def connect_to_master(self) -> None:
        """Called by Locust before anyone listens to messages; `join` does it later."""

    def _say_hello(self) -> None:
        """Until the master answers; as often as it takes, since masters come and go."""
        self._session = uuid4().hex
        began_s = socket_s = time.monotonic()
        logged_s = began_s - LOG_WAITING_S + 5
        while not self._is_joined.is_set():
            now_s = time.monotonic()
            if now_s - logged_s > LOG_WAITING_S:
                logged_s = now_s
                keys = "with the same --swarm-keys" if self.channel.keys else "without --swarm-keys, as this worker is"
                logger.info(
                    "Waiting for a master at %s:%d (%s) since %.0f s",
                    self.master_host, self.master_port, keys, now_s - began_s,
                )  # fmt: skip
            if now_s - socket_s > NEW_SOCKET_AFTER_S:
                socket_s = now_s
                self._replace_socket()
            hello = SwarmHello(
                protocol_version=PROTOCOL_VERSION,
                release=inference_swarm.__version__,
                session=self._session,
                host_name=socket.gethostname()[:256] or "unknown",
                pid=os.getpid(),
                cpu_count=os.cpu_count() or 1,
            )
            self.send_ours(hello)
            self._is_joined.wait(HELLO_PERIOD_S if now_s - began_s > 2 else 0.1)

    def _on_welcome(self, welcome: Welcome) -> None:
        if welcome.session != self._session or self._is_joined.is_set():
            return
        self._heard_s = time.monotonic()
        self.worker_index = welcome.index
        self.last_received_spawn_timestamp = 0
        self.worker_state = STATE_INIT
        self.connected = True
        self._is_joined.set()
        logger.info("Joined the swarm of %s:%d as worker %d", self.master_host, self.master_port, welcome.index)
        self.keeper.welcome(welcome.run_id)

    def _lose_master(self, reason: str) -> None:
        """Stops the users at once and looks for a master again. What is not delivered is kept meanwhile."""
        if self._is_leaving or not self._is_joined.is_set():
            return
        logger.error("The master is gone (%s). Users are stopped; waiting for it or for another one.", reason)
        self._is_joined.clear()
        self._replace_socket()
        self.greenlet.spawn(self._stop_then_say_hello)

    def _stop_then_say_hello(self) -> None:
        if self._stopper is not None:
            self._stopper.join()
        if self.state in ACTIVE_STATES:
            super().stop()
        self._send_stats()  # kept until a master takes it
        self.worker_state = STATE_INIT
        self._say_hello()

    def _replace_socket(self) -> None:
        former, self.client = self.client, self.channel.Client(self.master_host, self.master_port, self.client_id)
        former.close(linger=0)

    # messages

    def worker(self) -> None:  # type: ignore[override]
        self.last_received_spawn_timestamp = 0
        while True:
            client = self.client
            try:
                msg = client.recv()
            except Exception:
                if client is self.client:
                    logger.exception("The connection to the master failed")
                    gevent.sleep(1)
                continue
            try:
                self.handle_message(msg)
            except ProtocolError as error:
                self.channel.dropped.note("a message of the master that cannot be used", error.found)
            except Exception:
                logger.exception("A %r message of the master failed", msg.type[:80])

    def handle_message(self, msg: Message) -> None:
        if msg.type == Welcome.type:
            self._on_welcome(Welcome.from_wire(msg.data))
            return
        if msg.type == SwarmRefused.type:
            refused = SwarmRefused.from_wire(msg.data)
            logger.error("The master refuses this worker: %s", refused.reason)
            self.environment.process_exit_code = ExitCode.BAD_CONFIGURATION
            self._is_leaving = True
            gevent.spawn(self.quit)
            return
        if not self._is_joined.is_set():
            return  # of a master that was given up
        self._heard_s = time.monotonic()
        match msg.type:
            case "heartbeat":
                self.last_heartbeat_timestamp = time.time()
                self._events.heartbeat_received.fire(client_id=msg.node_id, timestamp=time.time())
            case Rejoin.type:
                self._lose_master(Rejoin.from_wire(msg.data).reason)
            case "stop":
                # In its own greenlet: users may take the whole stop timeout, heartbeats must go on meanwhile.
                self._stopper = self.greenlet.spawn(self._stop_run)
            case "quit":
                logger.info("The master ends this worker")
                gevent.spawn(self._quit_in_order)
            case "reconnect" | "ack":
                pass
            case "spawn":
                self._on_spawn(msg.data)
            case _:
                super().handle_message(msg)

    def _on_spawn(self, job: Any) -> None:
        """As Locust's, which builds a parser for each of a hundred options: a second of work for every message."""
        if self._is_leaving or (self._stopper is not None and not self._stopper.ready()):
            return
        if job["timestamp"] <= self.last_received_spawn_timestamp:
            return
        self.last_received_spawn_timestamp = job["timestamp"]
        self.send_message("spawning")
        self.environment.host = job["host"]
        self.environment.stop_timeout = job["stop_timeout"] or 0.0
        if self.worker_state not in ACTIVE_STATES:
            own = {name: value for name, value in job["parsed_options"].items() if name not in self._locusts_options}
            vars(self.environment.parsed_options).update(own)
            self.stats.clear_all()
            self.exceptions = {}
            self.cpu_warning_emitted = self.worker_cpu_warning_emitted = False
            self.environment._filter_tasks_by_tags()
            self._events.test_start.fire(environment=self.environment)
        self.worker_state = STATE_SPAWNING
        self.start_worker(job["user_classes_count"])

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        self.client.send(Message(msg_type, data, self.client_id))  # type: ignore[no-untyped-call]

    def send_ours(self, message: OurMessage) -> None:
        """Sends one of the messages of docs/protocol.md."""
        self.send_message(message.type, message.to_wire())

    def heartbeat(self) -> None:  # type: ignore[override]
        while True:
            self._is_joined.wait()
            data = {
                "state": self.worker_state,
                "current_cpu_usage": self.current_cpu_usage,
                "current_memory_usage": self.current_memory_usage,
            }
            self.send_message("heartbeat", data)
            gevent.sleep(HEARTBEAT_S)

    def heartbeat_timeout_checker(self) -> None:  # type: ignore[override]
        while True:
            gevent.sleep(WATCH_PERIOD_S)
            silence_s = time.monotonic() - self._heard_s
            if self._is_joined.is_set() and silence_s > self._silence_s:
                gevent.sleep(0.05)  # if it was this process that did not listen, what has come is read first
                if time.monotonic() - self._heard_s > self._silence_s:
                    self._lose_master(f"nothing heard of it for {silence_s:.1f} s")

    def stats_reporter(self) -> None:  # type: ignore[override]
        while True:
            gevent.sleep(WORKER_REPORT_INTERVAL)
            if self._is_joined.is_set():
                self._send_stats()

    def logs_reporter(self) -> None:
        self._is_joined.wait()
        super().logs_reporter()

    def _send_stats(self) -> None:
        data: dict[str, Any] = {}
        self._events.report_to_master.fire(client_id=self.client_id, data=data)
        self.keeper.sent_report(data)
        if self._is_joined.is_set():
            self.send_message("stats", data)

    # users

    def start_worker(self, user_classes_count: dict[str, int], **_: Any) -> None:
        """Starts and stops users until there are these, not counting those that are on their way out already."""
        self.target_user_classes_count = user_classes_count
        self.target_user_count = sum(user_classes_count.values())
        for user_class in self.user_classes:
            if self.environment.host:
                user_class.host = self.environment.host
        staying: dict[str, list[Any]] = {name: [] for name in user_classes_count}
        for greenlet in list(self.user_greenlets):
            if not greenlet.dead and greenlet.args and greenlet not in self._leaving_users:
                staying.setdefault(type(greenlet.args[0]).__name__, []).append(greenlet.args[0])
        lacking = {
            name: count - len(staying[name]) for name, count in user_classes_count.items() if count > len(staying[name])
        }
        self.spawn_users(lacking)
        for name, count in user_classes_count.items():
            for user in staying[name][count:]:
                self._leaving_users.add(user.greenlet)
                gevent.spawn(self._stop_user, user)
        self.update_state(STATE_RUNNING)
        self.worker_state = STATE_RUNNING
        self.send_message(
            "spawning_complete", {"user_classes_count": user_classes_count, "user_count": self.target_user_count}
        )

    def _stop_user(self, user: Any) -> None:
        """As Locust: a request under way may take the stop timeout."""
        if not self.environment.stop_timeout:
            user.stop(force=True)
            return
        user.stop()
        user.greenlet.join(self.environment.stop_timeout)
        user.greenlet.kill(block=False)

    # the end of a run, and of the worker

    def stop(self) -> None:
        was_active = self.state in ACTIVE_STATES
        super().stop()
        if was_active:
            self.keeper.finish_run()
            self._send_stats()

    def _stop_run(self) -> None:
        if self.state != STATE_CLEANUP:
            self.stop()
        self.worker_state = STATE_INIT
        self.send_message("client_stopped")

    def _quit_in_order(self) -> None:
        if self._stopper is not None:
            self._stopper.join()
        self._leave("the master said so")
        self.greenlet.kill(block=True)

    def _on_quitting(self, **_: Any) -> None:
        """SIGTERM, SIGINT or the master's word; before Locust says `quit` to the master."""
        self._leave("its process was told to end")

    def _leave(self, reason: str) -> None:
        """Stops in good order; the exit code says whether everything was delivered."""
        if self._is_leaving:
            return
        self._is_leaving = True
        if self._is_joined.is_set():
            self.send_ours(Leaving(reason=reason))
        if self.state in ACTIVE_STATES:
            self.stop()
        if not self.keeper.wait_delivered(DELIVERY_TIMEOUT_S if self._is_joined.is_set() else 0.0):
            logger.error("Not all reports of this worker were delivered to the master")
            self.environment.process_exit_code = ExitCode.INCOMPLETE
