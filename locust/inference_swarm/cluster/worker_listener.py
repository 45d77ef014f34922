"""The master's side of its workers: who is here, what they say, who has gone. Runs and users are master_runner.py.

Nothing that arrives from a worker is believed before it is checked, and no handler here may wait.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import gevent
from locust.rpc import Message
from locust.runners import STATE_INIT, STATE_MISSING, STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerNode

from inference_swarm.cluster.channel import use_channel
from inference_swarm.cluster.control_messages import check_payload
from inference_swarm.cluster.data_messages import MESSAGES, PROTOCOL_VERSION, SwarmHello, SwarmRefused
from inference_swarm.cluster.data_messages import Message as OurMessage
from inference_swarm.cluster.join_messages import Leaving, Rejoin, ReportAck, Welcome
from inference_swarm.cluster.keepers import MasterKeeper
from inference_swarm.cluster.keys import MASTER
from inference_swarm.errors import ProtocolError

logger = logging.getLogger(__name__)

ACTIVE_STATES = (STATE_SPAWNING, STATE_RUNNING)
# A worker that was not heard of for so long is lost. It says something every second, and if it was cut off it has
# stopped by itself by then (--master-timeout), so that its users are never there twice.
WORKER_SILENCE_S = 5.0
WATCH_PERIOD_S = 0.25
FORGET_MISSING_S = 60.0
# A run without any worker waits so long for one to come (a rolling restart, say) before it is stopped.
NO_WORKERS_GRACE_S = 30.0


class WorkerListener(MasterRunner):
    """A master that knows its workers; `keeper` is set before anything can arrive."""

    keeper: MasterKeeper
    server: Any

    def __init__(self, environment: Any, master_bind_host: str, master_bind_port: int) -> None:
        self.channel = use_channel(environment.parsed_options, MASTER)
        self._sessions: dict[str, str] = {}
        self._heard_s: dict[str, float] = {}
        self._alone_since_s: float | None = None
        self._events: Any = environment.events
        super().__init__(environment, master_bind_host, master_bind_port)

    # presence

    def heartbeat_worker(self) -> None:  # type: ignore[override]
        last_s = time.monotonic()
        while True:
            gevent.sleep(WATCH_PERIOD_S)
            now_s = time.monotonic()
            was_held_up = now_s - last_s > 4 * WATCH_PERIOD_S
            last_s = now_s
            if was_held_up:
                continue  # this process did not listen, so nobody may be blamed for silence
            for client in list(self.clients.all):
                silence_s = now_s - self._heard_s.get(client.id, now_s)
                if client.state != STATE_MISSING:
                    if silence_s > WORKER_SILENCE_S:
                        self._lose(client, f"not heard of for {silence_s:.1f} s")
                elif silence_s > FORGET_MISSING_S:
                    self._forget(client.id)
            self._watch_for_none(now_s)

    def _lose(self, client: WorkerNode, reason: str) -> None:
        logger.error("Worker %s is lost: %s", client.id, reason)
        client.state = STATE_MISSING
        client.user_classes_count = {}
        self.keeper.worker_left(client.id, reason)

    def _forget(self, worker: str) -> None:
        self.clients.pop(worker, None)
        self._sessions.pop(worker, None)
        self._heard_s.pop(worker, None)

    def _watch_for_none(self, now_s: float) -> None:
        if self.worker_count or self.state not in ACTIVE_STATES:
            self._alone_since_s = None
        elif self._alone_since_s is None:
            self._alone_since_s = now_s
            logger.error(
                "The last worker is gone. The run is stopped unless another joins within %g s.", NO_WORKERS_GRACE_S
            )
        elif now_s - self._alone_since_s > NO_WORKERS_GRACE_S:
            self._alone_since_s = None
            options = self.environment.parsed_options
            gevent.spawn(self.quit if options is not None and options.headless else self.stop)

    # messages

    def client_listener(self) -> None:  # type: ignore[override]
        while True:
            client_id, msg = self.server.recv_from_client()
            try:
                check_payload(msg)
                self.handle_message(client_id, msg)
            except ProtocolError as error:
                self.channel.dropped.note("a message that cannot be used", f"{error.found} (from {client_id[:80]!a})")
            except Exception:
                self.channel.dropped.note("a message that failed in its handler", ascii(msg.type)[:80])
                logger.exception("A %r message from worker %r failed", msg.type[:80], client_id[:80])

    def handle_message(self, client_id: str, msg: Message) -> None:
        if msg.type == SwarmHello.type:
            self._on_hello(client_id, SwarmHello.from_wire(msg.data))
            return
        client = self.clients.get(client_id)
        if client is not None and client.state == STATE_MISSING and msg.type in ("stats", "quit"):
            # Too late to be given users, but what it did send counts: it was slow, or cut off while it was leaving.
            if msg.type == "quit":
                self._forget(client_id)
            elif self.keeper.take_report(client_id, msg.data):
                self._events.worker_report.fire(client_id=client_id, data={**msg.data, "user_classes_count": {}})
            return
        if client is None or client.state == STATE_MISSING:
            self._on_stranger(client_id, msg)
            return
        self._heard_s[client_id] = time.monotonic()
        match msg.type:
            case "heartbeat":
                client.state = msg.data["state"] if msg.data["state"] != STATE_MISSING else STATE_INIT
                client.cpu_usage = msg.data["current_cpu_usage"]
                client.memory_usage = msg.data.get("current_memory_usage", 0)
                self._events.heartbeat_sent.fire(client_id=client_id, timestamp=time.time())
                self.server.send_to_client(Message("heartbeat", None, client_id))  # type: ignore[no-untyped-call]
            case "stats":
                if self.keeper.take_report(client_id, msg.data):
                    self._events.worker_report.fire(client_id=client_id, data=msg.data)
            case "spawning":
                client.state = STATE_SPAWNING
            case "spawning_complete":
                client.state = STATE_RUNNING
                client.user_classes_count = msg.data["user_classes_count"]
            case "client_stopped":
                client.state = STATE_INIT
                client.user_classes_count = {}
            case Leaving.type:
                logger.info("Worker %s leaves: %s", client_id, Leaving.from_wire(msg.data).reason)
                self.keeper.worker_leaving(client_id)
            case "quit":
                self._forget(client_id)
                self.keeper.worker_left(client_id, "")
                logger.info("Worker %s has left; %d are here", client_id, self.worker_count)
            case "exception" | "logs":
                super().handle_message(client_id, msg)
            case _ if listener := self.custom_messages.get(msg.type):
                listener[0](environment=self.environment, msg=msg)
            case _:
                raise ProtocolError(f"a message of unknown type {msg.type[:80]!a}")

    def send_ours(self, worker: str, message: OurMessage) -> None:
        """Sends one of the messages of docs/protocol.md."""
        self.server.send_to_client(Message(message.type, message.to_wire(), worker))  # type: ignore[no-untyped-call]

    def acknowledge(self, worker: str, run_id: str, sequence: int) -> None:
        """The report need not be sent again."""
        self.send_ours(worker, ReportAck(run_id=run_id, sequence=sequence))

    def silence_s(self, worker: str) -> float:
        """How long the worker has not been heard of."""
        now_s = time.monotonic()
        return now_s - self._heard_s.get(worker, now_s)

    def _on_hello(self, worker: str, hello: SwarmHello) -> None:
        if hello.protocol_version != PROTOCOL_VERSION:
            reason = f"it speaks version {hello.protocol_version} of the protocol, the master {PROTOCOL_VERSION}"
            self.send_ours(worker, SwarmRefused(protocol_version=PROTOCOL_VERSION, reason=reason))
            raise ProtocolError(f"the hello of a worker that cannot take part: {reason}")
        known = self.clients.get(worker)
        is_same = self._sessions.get(worker) == hello.session and known is not None and known.state != STATE_MISSING
        self._heard_s[worker] = time.monotonic()
        if known is not None and not is_same and known.state != STATE_MISSING:
            self._lose(known, "it lost the connection and came back")
        index = self.get_worker_index(worker)  # type: ignore[no-untyped-call]
        self.send_ours(worker, Welcome(session=hello.session, index=index, run_id=self.keeper.run_id))
        if is_same:
            return
        self._sessions[worker] = hello.session
        self.clients[worker] = WorkerNode(worker)
        self._events.worker_connect.fire(client_id=worker)
        logger.info("Worker %s (index %d) has joined; %d workers connected.", worker, index, self.worker_count)
        self.keeper.worker_joined(worker)

    def _on_stranger(self, worker: str, msg: Message) -> None:
        """Of one that is lost or was never here, nothing counts; ours is told to say hello again."""
        if msg.type == "heartbeat":
            self.send_ours(worker, Rejoin(reason="the master does not know this worker, or had given it up"))
        elif msg.type in ("client_ready", "locustfile"):
            self.channel.dropped.note(
                "the hello of a worker that is none of ours",
                f"{worker[:80]!a} runs another locustfile, or Locust without inference_swarm",
            )
        elif msg.type not in MESSAGES and msg.type not in ("stats", "quit", "client_stopped", "logs", "exception"):
            self.channel.dropped.note(
                "a message from one that has not joined", f"{msg.type[:80]!a} from {worker[:80]!a}"
            )
