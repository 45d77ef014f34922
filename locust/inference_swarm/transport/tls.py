"""TLS over a plain non-blocking socket: the same `send` and `recv_into` as the socket has, and a handshake in steps.

Uses memory buffers (`SSLContext.wrap_bio`), so it needs neither gevent's nor the standard library's TLS sockets.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gevent.ssl import SSLContext, create_default_context

from inference_swarm.errors import SettingProblem

_WIRE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Trusted and own certificates, in PEM. `client_key` may be missing when `client_cert` holds the key as well."""

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    is_insecure: bool = False


def make_tls_context(files: TlsFiles) -> SSLContext:
    """The context of a process. Raises SettingProblem for a file that cannot be used."""
    try:
        context = create_default_context(cafile=str(files.ca_file) if files.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise SettingProblem(
            f"The CA file {files.ca_file} cannot be used: {error}.",
            expected="a PEM file with one or more certificates",
            action="Correct --ca-file.",
        ) from None
    _load_client_certificate(context, files)
    if files.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load_client_certificate(context: SSLContext, files: TlsFiles) -> None:
    if files.client_cert is None:
        if files.client_key is not None:
            raise SettingProblem(
                f"There is a client key ({files.client_key}) and no client certificate.",
                expected="both, or a certificate alone whose file holds its key as well",
                action="Give --client-cert.",
            )
        return
    for path, flag in ((files.client_cert, "--client-cert"), (files.client_key, "--client-key")):
        if path is not None:
            _check_readable(path, flag)
    key = str(files.client_key) if files.client_key else None
    try:
        context.load_cert_chain(str(files.client_cert), key, password=_refuse_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        where = f"The client certificate {files.client_cert} and its key {files.client_key or 'in the same file'}"
        why = describe_tls_error(error) if isinstance(error, ssl.SSLError) else str(error)
        raise SettingProblem(
            f"{where} cannot be used: {why}.",
            expected="a certificate and the private key that belongs to it, in PEM and without a password",
            action="Correct --client-cert and --client-key.",
        ) from None


def _check_readable(path: Path, flag: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingProblem(
            f"The file {path} of {flag} cannot be read: {error.strerror}.",
            expected="a PEM file",
            action=f"Correct {flag}.",
        ) from None


def _refuse_password() -> str:
    raise ValueError("the key has a password")


def describe_tls_error(error: ssl.SSLError) -> str:
    """The reason without addresses of objects or source lines, so that equal failures read alike."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    if "certificate required" in reason or "alert handshake failure" in reason:
        return f"{reason} (if the server asks for a client certificate: --client-cert, --client-key)"
    if is_about_client_certificate(error):
        return f"{reason} (the server does not accept the client certificate: --client-cert, --client-key)"
    return reason


_CLIENT_CERTIFICATE_ALERTS = (
    "CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
)


def is_about_client_certificate(error: ssl.SSLError) -> bool:
    """Whether the server refused our certificate, or the lack of one; with TLS 1.3 that comes after the handshake."""
    return any(alert in (error.reason or "") for alert in _CLIENT_CERTIFICATE_ALERTS)


class TlsChannel:
    """Encrypts to and decrypts from one socket. Raises BlockingIOError where the socket would."""

    __slots__ = ("_incoming", "_outgoing", "_sealed_bytes", "_socket", "_tls", "_unsent", "written_bytes")

    def __init__(self, socket: Any, context: SSLContext, host: str) -> None:
        self._socket = socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._sealed_bytes = 0
        self.written_bytes = 0
        """What the socket took since the last `send` began, encrypted."""

    def shake_hands(self) -> bool:
        """Continue the handshake; True when it is done, False when the server's next bytes are needed.

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
            self.written_bytes = 0
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
            count = self._socket.send(self._unsent)
            self._unsent = self._unsent[count:]
            self.written_bytes += count

    def _try_alert(self) -> None:
        # Tell the server why, if its socket takes it; the handshake has failed either way.
        try:
            self._flush()
        except OSError:
            return
