"""Locust's worker with an agent in charge: messages go in, everything else is decided there."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_INIT, STATE_RUNNING, WorkerRunner

import inference_swarm
from inference_swarm.cluster.agent_events import EndAsked
from inference_swarm.cluster.agent_state import AgentConfig
from inference_swarm.cluster.aside import Aside, is_listener
from inference_swarm.cluster.channel import use_channel
from inference_swarm.cluster.ending import let_threads_end
from inference_swarm.cluster.file_limit import raise_file_limit
from inference_swarm.cluster.keys import WORKER
from inference_swarm.cluster.protocol import FROM_MASTER, Envelope, Goodbye
from inference_swarm.cluster.state import LEASE_S
from inference_swarm.cluster.worker_adapter import WorkerAdapter
from inference_swarm.cluster.worker_name import short_name
from inference_swarm.cluster.worker_seams import WorkerSeams
from inference_swarm.errors import ExitCode, ProtocolError

logger = logging.getLogger(__name__)
KINDS = {kind.type: kind for kind in FROM_MASTER}
# Of --master-timeout, the part after which users are stopped: the rest is for them to stop in.
LEASE_PART = 0.8
LOCUSTS_OWN = ("spawn", "stop", "quit", "reconnect", "ack", "heartbeat")  # a master of ours sends none of these
LOG_WAITING_FIRST_S = 5.0
LOG_WAITING_S = 30.0
USAGE_PERIOD_S = 1.0
# The last message of this process waits so long for what listeners send at the end: the master hears nothing after it,
# and who is silent for longer is lost.
GOODBYE_WITHIN_S = 3.0


class SwarmWorkerRunner(WorkerRunner):
    """Takes part in a swarm from `join` on, until it or its process is asked to quit."""

    client: Any

    def __init__(self, environment: Environment, master_host: str, master_port: int) -> None:
        self.channel = use_channel(environment.parsed_options, WORKER)
        self._ended = Event()
        self._goodbye: Envelope | None = None
        self._aside = Aside()  # messages of locustfiles and of Locust
        super().__init__(environment, master_host, master_port)
        # Locust's own good-bye is a message that no master of ours knows.
        handlers = environment.events.quitting._handlers
        handlers[:] = [one for one in handlers if getattr(one, "__module__", "") != "locust.runners"]
        environment.process_exit_code = ExitCode.PASSED

    @property
    def client_id(self) -> str:
        """The name of this worker for everybody; Locust sets it."""
        return self._client_id

    @client_id.setter
    def client_id(self, given: str) -> None:
        self._client_id = short_name(given)

    def join(self, swarm: str, forked_by: int | None = None) -> None:
        """Look for the master from now on; until the process that forked this one is gone, if there is one."""
        options: Any = self.environment.parsed_options
        self._forked_by = forked_by if forked_by != os.getpid() else None
        config = AgentConfig(
            self.client_id,
            lease_s=min(LEASE_S, LEASE_PART * float(options.master_timeout_s)),
            swarm=swarm,
            release=inference_swarm.__version__,
            host_name=socket.gethostname()[:256] or "unknown",
            pid=os.getpid(),
            cpu_count=os.cpu_count() or 1,
            files_limit=raise_file_limit(),
        )
        seams = WorkerSeams(
            self._send, self._open_channel, self._end, notifies_listeners=True, source_address=options.source_address
        )
        self.adapter = WorkerAdapter(self.environment, self, config, str(options.allow_host), seams)
        self.greenlet.spawn(self._listen)
        self.greenlet.spawn(self._watch)
        self.environment.events.quitting.add_listener(lambda **_: self._leave("its process was asked to end"))  # type: ignore[no-untyped-call]
        self.adapter.begin()

    def look_at(self, host: str) -> None:
        """Look for a master there from now on, if there is none where this worker has looked so far."""
        if not self.adapter.state.is_joined:
            logger.info("Looking for a master at %s:%d, no longer at %s", host, self.master_port, self.master_host)
            self.master_host = host
            self._open_channel()

    # what Locust asks

    def users_applied(self, count: int) -> None:
        """Set Locust's state of the worker, for viewers."""
        self.update_state(STATE_RUNNING if count else STATE_INIT)
        self.worker_state = self.state

    def stop(self) -> None:
        """Do nothing: a run is ended by its master."""

    def quit(self) -> None:
        """Leave gracefully. A user that asks for it goes on until it is stopped."""
        if is_listener() or gevent.getcurrent() in self.user_greenlets:
            gevent.spawn(self.quit)  # not here: the end waits for the one that asks
            return
        self._leave("it was asked to quit")
        self.greenlet.kill(block=True)

    def end_at_once(self) -> None:
        """End the process: requests in flight and the last report are lost, as the master will say, if it had any."""
        if self._goodbye is None:
            logger.warning("Ended at once: requests in flight and the last report of this worker are lost.")
        else:
            logger.warning("Ended at once: its listeners are not waited for.")
        self._say_goodbye()
        os._exit(ExitCode.INCOMPLETE)

    def connect_to_master(self) -> None:
        """Do nothing: Locust calls this before messages are handled; `join` does it later."""

    def heartbeat(self) -> None:  # type: ignore[override]
        """Do nothing: the agent does that."""

    def heartbeat_timeout_checker(self) -> None:  # type: ignore[override]
        """Do nothing: the agent does that."""

    def stats_reporter(self) -> None:  # type: ignore[override]
        """Do nothing: the agent does that."""

    def worker(self) -> None:  # type: ignore[override]
        """Wait: no message is handled before `join`."""

    def _leave(self, reason: str) -> None:
        """Leave the swarm; returns when everything is delivered, or will not be."""
        if not hasattr(self, "adapter"):
            return
        gevent.spawn(self.adapter.feed, EndAsked(reason))
        if not is_listener() and gevent.getcurrent() not in self.user_greenlets:
            self._ended.wait()

    def _end(self, code: ExitCode) -> None:
        self.environment.process_exit_code = code
        gevent.spawn(self._end_later)

    def _end_later(self) -> None:
        last = [gevent.spawn(self.adapter.close), gevent.spawn(self._aside.finish)]
        gevent.joinall(last, GOODBYE_WITHIN_S)
        self._say_goodbye()
        gevent.joinall(last)
        let_threads_end()
        self._ended.set()
        self.greenlet.kill(block=True)

    def _say_goodbye(self) -> None:
        if self._goodbye is not None:
            self._send_now(self._goodbye)
            gevent.sleep(0.05)  # for it to be on its way

    # messages

    def _send(self, envelope: Envelope) -> None:
        if isinstance(envelope.message, Goodbye):
            self._goodbye = envelope
        else:
            self._send_now(envelope)

    def _send_now(self, envelope: Envelope) -> None:
        self.client.send(Message(envelope.message.type, envelope.to_wire(), self.client_id))  # type: ignore[no-untyped-call]

    def _open_channel(self) -> None:
        former, self.client = self.client, self.channel.Client(self.master_host, self.master_port, self.client_id)
        former.close(linger=0)

    def _listen(self) -> None:
        while True:
            client = self.client
            try:
                message = client.recv()
            except Exception:
                if client is self.client:
                    logger.exception("The connection to the master failed")
                    gevent.sleep(1)
                continue
            try:
                self.handle_message(message)
            except ProtocolError as error:
                self.channel.dropped.note("a message of the master that cannot be used", error.found)
            except Exception:
                logger.exception("A %r message of the master failed", message.type[:80])

    def handle_message(self, msg: Message) -> None:
        """Handle one message from the master's address."""
        kind = KINDS.get(msg.type)
        if kind is not None:
            self.adapter.feed(Envelope.from_wire(kind, msg.data))
            self.worker_index = self.adapter.state.index
        elif self.adapter.state.is_joined and msg.type not in LOCUSTS_OWN:
            if msg.type == "spawning_complete":
                self._aside.tell(self.environment.events.spawning_complete, user_count=msg.data["user_count"])
                return
            handle = super().handle_message
            self._aside.do(lambda: handle(msg))

    def logs_reporter(self) -> None:
        while not hasattr(self, "adapter") or not self.adapter.state.is_joined:
            gevent.sleep(1)
        super().logs_reporter()

    def _watch(self) -> None:
        """Measure CPU and memory for the heartbeats; log a line now and then while no master responds."""
        waited_s = LOG_WAITING_S - LOG_WAITING_FIRST_S
        while True:
            if self._forked_by is not None and os.getppid() != self._forked_by:
                self._forked_by = None
                gevent.spawn(self._leave, "the process that forked it is gone")
            state = self.adapter.state
            state.cpu_percent, state.memory_bytes = max(0.0, self.current_cpu_usage), self.current_memory_usage
            gevent.sleep(USAGE_PERIOD_S)
            waited_s = LOG_WAITING_S - LOG_WAITING_FIRST_S if state.is_joined else waited_s + USAGE_PERIOD_S
            if waited_s >= LOG_WAITING_S:
                waited_s = 0.0
                keys = "with the same --swarm-keys" if self.channel.keys else "without --swarm-keys, as this worker is"
                why = _why_unreachable(self.master_host, self.master_port)
                logger.info("Waiting for a master at %s:%d (%s): %s", self.master_host, self.master_port, keys, why)


def _why_unreachable(host: str, port: int) -> str:
    """Return why the master cannot be reached: does the name resolve, does anything listen there?"""
    try:
        socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        return f"the name does not resolve ({getattr(error, 'strerror', None) or error})"
    try:
        with socket.create_connection((host, port), timeout=2):
            return "the port is open, but no master of this protocol answers"
    except ConnectionRefusedError:
        return "the port refuses connections"
    except OSError as error:
        return f"the port does not answer ({error.strerror or error})"
