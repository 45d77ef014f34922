"""A worker's link to its master: it joins by a hello, listens and reports, and looks for a master when it has none.

What users do is worker_runner.py. Here nobody waits for them: heartbeats go on whatever they do.
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
from locust.rpc import Message
from locust.runners import STATE_INIT, WORKER_REPORT_INTERVAL, WorkerRunner

import inference_swarm
from inference_swarm.cluster.channel import use_channel
from inference_swarm.cluster.data_messages import PROTOCOL_VERSION, SwarmHello, SwarmRefused
from inference_swarm.cluster.data_messages import Message as OurMessage
from inference_swarm.cluster.join_messages import Rejoin, Welcome
from inference_swarm.cluster.keepers import WorkerKeeper
from inference_swarm.cluster.keys import WORKER
from inference_swarm.errors import ExitCode, ProtocolError

logger = logging.getLogger(__name__)

HELLO_PERIOD_S = 1.0
HEARTBEAT_S = 1.0
# Of --master-timeout, the part after which users are told to stop: the rest is for them to hear it.
STOP_AFTER_PART = 0.8
WATCH_PERIOD_S = 0.1
NEW_SOCKET_AFTER_S = 15.0
LOG_WAITING_S = 30.0


class MasterLink(WorkerRunner):
    """A worker that keeps in touch; `keeper` is set before `join`."""

    keeper: WorkerKeeper
    client: Any

    def __init__(self, environment: Any, master_host: str, master_port: int) -> None:
        options = environment.parsed_options
        self.channel = use_channel(options, WORKER)
        self._silence_s = STOP_AFTER_PART * float(getattr(options, "master_timeout_s", 5.0))
        self._session = ""
        self._is_joined = Event()
        self._is_leaving = False
        self._heard_s = 0.0
        self._events: Any = environment.events
        super().__init__(environment, master_host, master_port)
        environment.process_exit_code = ExitCode.PASSED

    def join(self) -> None:
        """Looks for the master from now on. Not before `keeper` can take what it says."""
        self.greenlet.spawn(self._say_hello)

    # what users do, for those who know them

    def begin_stopping(self) -> None:
        """The master ends the run; must not wait."""
        raise NotImplementedError

    def stop_for_want_of_master(self) -> None:
        """Returns when no user sends any more."""
        raise NotImplementedError

    def quit_in_order(self) -> None:
        """The master ends this worker."""
        raise NotImplementedError

    def take_spawn(self, job: Any) -> None:
        """These users from now on."""
        raise NotImplementedError

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
        self.stop_for_want_of_master()
        self.report()  # kept until a master takes it
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
                self.begin_stopping()
            case "quit":
                logger.info("The master ends this worker")
                gevent.spawn(self.quit_in_order)
            case "reconnect" | "ack":
                pass
            case "spawn":
                self.take_spawn(msg.data)
            case _:
                super().handle_message(msg)

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
                self.report()

    def logs_reporter(self) -> None:
        self._is_joined.wait()
        super().logs_reporter()

    def report(self) -> None:
        """All since the last report, to the master; kept until it has said that it has it."""
        data: dict[str, Any] = {}
        self._events.report_to_master.fire(client_id=self.client_id, data=data)
        self.keeper.sent_report(data)
        if self._is_joined.is_set():
            self.send_message("stats", data)
