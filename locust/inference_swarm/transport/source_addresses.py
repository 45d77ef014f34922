"""The local addresses of `--source-address`, from which connections leave in turn. An edge: sockets.

One address has about 28,000 ports for connections to one server (net.ipv4.ip_local_port_range), two have twice as many.
"""

from __future__ import annotations

import errno
import socket
import sys
from _socket import SOCK_DGRAM, SOCK_STREAM
from _socket import socket as plain_socket
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final

import psutil

from inference_swarm.config.value_types import split_names
from inference_swarm.errors import SettingProblem
from inference_swarm.transport.addresses import Address
from inference_swarm.transport.outcome import AttemptError, ErrorKind

# Linux chooses the port when it knows where the connection goes, so that a port serves several servers at once.
_IP_BIND_ADDRESS_NO_PORT: Final = 24 if sys.platform == "linux" else None
_FAMILIES: Final[dict[int, str]] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_MAX_NAMED: Final = 8


class SourceAddresses:
    """Gives each connection a socket that is bound to the next address; without addresses, one that is not bound."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """Raises SettingProblem for what is no address, or none of this machine."""
        self._by_family: dict[int, list[Any]] = {}
        self._turn = -1
        for text in texts:
            family, address = _resolve(text)
            _check_is_here(text, family, address)
            self._by_family.setdefault(family, []).append(address)

    def reachable(self, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
        """Return those that a source address can connect to. Raises AttemptError when there is none."""
        if not self._by_family:
            return addresses
        found = tuple(address for address in addresses if address.family in self._by_family)
        if found or not addresses:
            return found
        ours, theirs = (
            " and ".join(sorted(_FAMILIES.get(family, str(family)) for family in families))
            for families in (self._by_family, {address.family for address in addresses})
        )
        raise AttemptError(ErrorKind.CONNECT, f"--source-address is {ours} and the server has {theirs} only")

    def connect(self, address: Address, prepare: Callable[[plain_socket], None]) -> tuple[plain_socket, int]:
        """Return a prepared socket and what its connect said. Raises OSError if there is no socket to be had.

        A source address whose ports are all in use is passed over.
        """
        sources = self._by_family.get(address.family) or [None]
        self._turn += 1
        for place in range(len(sources)):
            source = sources[(self._turn + place) % len(sources)]
            sock = plain_socket(address.family, SOCK_STREAM)
            code = _connect(sock, source, address, prepare)
            if code != errno.EADDRNOTAVAIL or place == len(sources) - 1:
                return sock, code
            sock.close()
        raise AssertionError("there is always one to try")


def parse_source_addresses(text: str) -> list[str]:
    """Return the addresses of the setting, each once. Raises SettingProblem."""
    addresses = list(dict.fromkeys(split_names(text)))
    for address in addresses:
        _resolve(address)
    return addresses


def are_ports_in_use(address: Address) -> bool:
    """After EADDRNOTAVAIL: are all ports in use? Else no address of this machine can reach it (IPv6 without any)."""
    with closing(plain_socket(address.family, SOCK_DGRAM)) as sock:
        return sock.connect_ex(address.socket_address) == 0


def _connect(sock: plain_socket, source: Any, address: Address, prepare: Callable[[plain_socket], None]) -> int:
    try:
        prepare(sock)
        if source is not None:
            if _IP_BIND_ADDRESS_NO_PORT is not None:
                sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(source)
        code = sock.connect_ex(address.socket_address)
        if code == errno.EINPROGRESS:
            # To a server on this machine it is made by now, and nobody has to wait for an event.
            code = sock.connect_ex(address.socket_address)
        return 0 if code == errno.EISCONN else code
    except OSError as error:
        return error.errno or errno.EINVAL


def _resolve(text: str) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError) as error:
        raise SettingProblem(
            f"--source-address has {text!r}, which is no address",
            expected="addresses of the worker's machine with commas between them, such as 10.0.0.7,10.0.0.8 or fd00::7",
        ) from error
    family, _, _, _, address = found[0]
    return family, address


def _check_is_here(text: str, family: int, address: Any) -> None:
    with closing(plain_socket(family, SOCK_STREAM)) as probe:
        try:
            probe.bind(address)
        except OSError as error:
            raise SettingProblem(
                f"--source-address has {text}, from which nothing on {socket.gethostname()} can connect: "
                f"{error.strerror}",
                expected=f"addresses of this machine, which has {_own_addresses()}",
                action="correct --source-address, or give each worker its own (SWARM_SOURCE_ADDRESS where it starts)",
            ) from error


def _own_addresses() -> str:
    own = [
        one.address
        for interface in psutil.net_if_addrs().values()
        for one in interface
        if one.family in (socket.AF_INET, socket.AF_INET6)
    ]
    return ", ".join(own[:_MAX_NAMED]) + (", …" if len(own) > _MAX_NAMED else "")
