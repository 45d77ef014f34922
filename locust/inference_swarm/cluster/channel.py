"""The sockets between master and workers, replacing Locust's: with limits, and encrypted if there are keys.

An edge: ZMQ. Whatever is not a message is dropped and counted here; nothing that a peer sends ends the receiver.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
import locust.runners
import zmq
from locust.exception import RPCError
from locust.rpc import Message
from zmq.utils import z85

from inference_swarm.cluster.channel_context import LINGER_S, ChannelContext, bind_gate, uses_ipv6
from inference_swarm.cluster.control_messages import MAX_MESSAGE_BYTES, decode_message, shorten
from inference_swarm.cluster.keys import ControlKeys, read_keys
from inference_swarm.errors import ProtocolError

logger = logging.getLogger(__name__)

ZAP_DOMAIN = b"inference-swarm"
# A peer that sends more in one message is cut off by ZMQ itself; up to here the message is read, dropped and counted.
MAX_FRAME_BYTES = 4 * MAX_MESSAGE_BYTES
# A flood must leave the event loop time for those who wait.
MAX_TURN_S = 0.005
# From this rate on messages of workers are collected for a moment: to wake up for each costs more than to handle it.
BUSY_PER_S, COUNT_S, COLLECT_S = 400, 0.25, 0.004
NO_WAIT, AND_MORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)  # flags of an enumeration take Python's time in each call


class Dropped:
    """Messages that were not used, by reason; each reason is logged when it first happens."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, reason: str, detail: str) -> None:
        """One message was dropped."""
        self.counts[reason] += 1
        if self.counts[reason] == 1:
            logger.warning("Dropped %s: %s. More of this kind are counted, not logged.", reason, detail[:500])

    def log_counts(self) -> None:
        """A line for each reason that happened more than once."""
        for reason, count in self.counts.items():
            if count > 1:
                logger.warning("Dropped %d times in all: %s", count, reason)


class _Socket:
    """The parts that both ends share."""

    def __init__(self, context: Any, kind: int, dropped: Dropped, *, uses_ipv6: bool) -> None:
        self.dropped = dropped
        self.socket: Any = context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, round(LINGER_S * 1000))
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        if uses_ipv6:
            self.socket.setsockopt(zmq.IPV6, 1)
        self._turn_began_s = time.monotonic()

    def close(self, linger: int | None = None) -> None:
        """Close the socket; unsent messages are dropped when `linger` is 0."""
        self.socket.close(linger=linger)

    def _give_way(self) -> None:
        if time.monotonic() - self._turn_began_s > MAX_TURN_S:
            gevent.sleep(0)  # a green socket with messages waiting never gives way by itself
            self._turn_began_s = time.monotonic()

    def _receive(self) -> list[bytes]:
        self._give_way()
        try:
            frames: list[bytes] = self.socket.recv_multipart()
        except zmq.ZMQError as error:
            raise RPCError("ZMQ network broken") from error
        return frames


class Server(_Socket):
    """The master's end.

    Messages come in turns: what has arrived is taken without a wait, then the event loop waits for more. Within a turn
    the same socket is used without its green methods, which ask for its state after each call.
    """

    def __init__(self, context: Any, host: str, port: int, keys: ControlKeys | None, dropped: Dropped) -> None:
        super().__init__(context, zmq.ROUTER, dropped, uses_ipv6=uses_ipv6(host, port))
        self._plain: Any = zmq.Socket.shadow(self.socket.underlying)
        self._is_in_turn = False
        self._empty_s = self._counted_s = self._turn_began_s
        self._taken, self._per_s = 0, 0.0
        # A worker that was cut off comes back under its name while its old connection still seems to be alive.
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._gate: gevent.Greenlet | None = None
        if keys is not None:
            self._gate = gevent.spawn(self._let_in, bind_gate(context), keys)
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            self.socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        try:
            if port == 0:
                self.port = self.socket.bind_to_random_port(f"tcp://{host}")
            else:
                self.socket.bind(f"tcp://{host}:{port}")
                self.port = port
        except zmq.ZMQError as error:
            raise RPCError(f"{host}:{port} cannot be bound: {error}") from error

    @property
    def read_until_s(self) -> float:
        """Everything that had arrived by this instant of `time.monotonic` has been handled."""
        # `get`: who asks by `getsockopt` takes away the event that a waiting reader would have been woken by.
        if not self._is_in_turn and not self.socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._empty_s = time.monotonic()
        return self._empty_s

    def send_to_client(self, message: Message) -> None:
        """Send without waiting; ZMQ drops messages to workers that are gone."""
        socket = self._plain if self._is_in_turn else self.socket
        # Both before the first part is sent: what follows half a message would be the rest of it, to the wrong worker.
        parts = message.node_id.encode(), message.serialize()  # type: ignore[no-untyped-call]
        try:
            socket.send(parts[0], NO_WAIT | AND_MORE)
            socket.send(parts[1], NO_WAIT)
        except zmq.ZMQError as error:
            logger.debug("A %s message to %s was not sent: %s", message.type, message.node_id, error)

    def _receive(self) -> list[bytes]:
        self._give_way()
        self._taken += 1
        try:
            return self._take() or self._wait()
        except zmq.ZMQError as error:
            raise RPCError("ZMQ network broken") from error

    def _take(self) -> list[bytes]:
        """Return a message that is there, an empty list if there is none."""
        try:
            frames: list[bytes] = self._plain.recv_multipart(NO_WAIT)
        except zmq.Again:
            return []
        return frames

    def _wait(self) -> list[bytes]:
        """A turn is over: return the first message of the next one."""
        self._empty_s = time.monotonic()
        frames: list[bytes] = []
        if self._is_busy():
            gevent.sleep(COLLECT_S)
            frames = self._take()
        if not frames:
            self._is_in_turn = False
            frames = self.socket.recv_multipart()
            self._is_in_turn = True
        self._turn_began_s = time.monotonic()
        return frames

    def _is_busy(self) -> bool:
        """Return whether many messages came lately."""
        passed_s = self._empty_s - self._counted_s
        if passed_s > COUNT_S:
            self._per_s, self._taken, self._counted_s = self._taken / passed_s, 0, self._empty_s
        return self._per_s > BUSY_PER_S

    def recv_from_client(self) -> tuple[str, Message]:
        """Return the next valid message from an identified sender."""
        while True:
            frames = self._receive()
            try:
                if len(frames) != 2:
                    raise ProtocolError(f"a message of {len(frames)} parts")
                sender = frames[0].decode()
                message = decode_message(frames[1])
                if message.node_id != sender:
                    raise ProtocolError("a message in the name of another")
            except UnicodeDecodeError:
                self.dropped.note("a malformed message", "a sender whose name is not text")
            except ProtocolError as error:
                self.dropped.note("a malformed message", error.found)
            else:
                return sender, message

    def _let_in(self, gate: Any, keys: ControlKeys) -> None:
        """Called by ZMQ for every connection that has proved its public key."""
        known = {z85.decode(key) for key in keys.public_of_others}
        while True:
            try:
                version, request_id, _, address, _, mechanism, *credentials = gate.recv_multipart()
            except zmq.ZMQError:
                if gate.closed:  # the process ends
                    return
                raise
            is_known = mechanism == b"CURVE" and bool(credentials) and credentials[0] in known
            if not is_known:
                self.dropped.note("a connection with a key that is not known", ascii(address.decode(errors="replace")))
            status = (b"200", b"OK") if is_known else (b"400", b"unknown key")
            gate.send_multipart([version, request_id, *status, b"", b""])


class Client(_Socket):
    """A worker's end. What cannot be sent now is not sent later: after a gap the worker begins with a new hello."""

    def __init__(
        self,
        context: Any,
        address: tuple[str, int],
        identity: str,
        keys: ControlKeys | None,
        dropped: Dropped,
        *,
        uses_ipv6: bool,
    ) -> None:
        super().__init__(context, zmq.DEALER, dropped, uses_ipv6=uses_ipv6)
        self.socket.setsockopt(zmq.IDENTITY, identity.encode())
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 200)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self.socket.setsockopt(zmq.MAXMSGSIZE, 4 * MAX_FRAME_BYTES)
        if keys is not None:
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
            self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
            self.socket.setsockopt(zmq.CURVE_SERVERKEY, keys.public_of_others[0])
        self.socket.connect("tcp://{}:{}".format(*address))

    def send(self, message: Message) -> bool:
        """Returns False when there is no connection or it accepts nothing now."""
        try:
            self.socket.send(shorten(message).serialize(), zmq.NOBLOCK)  # type: ignore[no-untyped-call]
        except zmq.ZMQError:
            return False
        return True

    def recv(self) -> Message:
        """Return the next valid message."""
        while True:
            frames = self._receive()
            try:
                return decode_message(frames[-1])
            except ProtocolError as error:
                self.dropped.note("a malformed message from the master", error.found)


class ControlChannel:
    """Replaces Locust's `rpc` module for its runners."""

    def __init__(self, keys: ControlKeys | None) -> None:
        self.keys = keys
        self.dropped = Dropped()
        self._uses_ipv6: dict[tuple[str, int], bool] = {}
        # One for all sockets: to end a context is to wait for its threads, which may be looking up a name. Two threads,
        # so that a connection which is opened again does not wait for the look-up of the former one.
        self._context = ChannelContext(io_threads=2)

    def Server(self, host: str, port: int) -> Server:  # noqa: N802 - the name Locust calls
        return Server(self._context, host, port, self.keys, self.dropped)

    def Client(self, host: str, port: int, identity: str) -> Client:  # noqa: N802 - the name Locust calls
        # Asked once: a worker opens its connection again when its master is lost and its users must stop, and the
        # look-up may take longer than they have. ZMQ looks the name up again for each attempt, in its own threads.
        if (host, port) not in self._uses_ipv6:
            self._uses_ipv6[host, port] = uses_ipv6(host, port)
        is_ipv6 = self._uses_ipv6[host, port]
        return Client(self._context, (host, port), identity, self.keys, self.dropped, uses_ipv6=is_ipv6)

    def close(self) -> None:
        """Close all sockets, and wait until what they were to send has left, as long as they linger and no longer."""
        self._context.destroy()


def use_channel(options: Any, role: str) -> ControlChannel:
    """Make Locust's runners use this channel; `role` is MASTER or WORKER. Raises SettingProblem."""
    folder = getattr(options, "swarm_keys", "")
    channel = ControlChannel(read_keys(Path(folder), role) if folder else None)
    if channel.keys is None:
        logger.info("The control channel is not encrypted: anyone who reaches its port can join (see --swarm-keys)")
    atexit.register(channel.close)
    setattr(locust.runners, "rpc", channel)  # noqa: B010 - it is a module to the type checker
    return channel
