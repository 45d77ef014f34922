"""TLS over a plain non-blocking socket: the same `send` and `recv_into` as the socket has, and a handshake in steps.

Uses memory buffers (`SSLContext.wrap_bio`), so it needs neither gevent's nor the standard library's TLS sockets.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from gevent.ssl import SSLContext, create_default_context

from inference_swarm.errors import SettingProblem

_WIRE_BYTES = 64 * 1024


def make_tls_context(*, ca_file: Path | None = None, is_insecure: bool = False) -> SSLContext:
    """The context of a process. Raises SettingProblem for a CA file that cannot be used."""
    try:
        context = create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingProblem(
            f"The CA file {ca_file} cannot be used: {error}.",
            expected="a PEM file with one or more certificates",
            action="Correct --ca-file.",
        ) from None
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def describe_tls_error(error: ssl.SSLError) -> str:
    """The reason without addresses of objects or source lines, so that equal failures read alike."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    return (error.reason or "handshake failed").replace("_", " ").lower()


class TlsChannel:
    """Encrypts to and decrypts from one socket. Raises BlockingIOError where the socket would."""

    __slots__ = ("_incoming", "_outgoing", "_sealed_bytes", "_socket", "_tls", "_unsent")

    def __init__(self, socket: Any, context: SSLContext, host: str) -> None:
        self._socket = socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._sealed_bytes = 0

    def shake_hands(self) -> bool:
        """Goes on with the handshake; True when it is done, False when the server's next bytes are needed.

        Raises ssl.SSLError, and BlockingIOError when the socket takes no more bytes now.
        """
        try:
            self._tls.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            is_done = False
        except ssl.SSLError:
            self._try_alert()
            raise
        self._flush()
        return is_done

    def take_handshake_bytes(self) -> bool:
        """Receives for the handshake; False at the end of the connection."""
        data = self._socket.recv(_WIRE_BYTES)
        if not data:
            return False
        self._incoming.write(data)
        return True

    def send(self, data: bytes | memoryview) -> int:
        """Sends all of `data` or, as long as the socket does not take it, returns 0 and goes on at the next call."""
        if not self._unsent:
            self._sealed_bytes = self._tls.write(data)
        try:
            self._flush()
        except BlockingIOError:
            return 0
        return self._sealed_bytes

    def recv_into(self, buffer: bytearray) -> int:
        """Decrypted bytes into `buffer`; 0 at the end of the connection."""
        while True:
            if self._incoming.pending or self._tls.pending():
                try:
                    return int(self._tls.read(len(buffer), buffer))
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return 0
            data = self._socket.recv(_WIRE_BYTES)
            if not data:
                return 0
            self._incoming.write(data)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        while self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def _try_alert(self) -> None:
        # Tell the server why, if its socket takes it; the handshake has failed either way.
        try:
            self._flush()
        except OSError:
            return
