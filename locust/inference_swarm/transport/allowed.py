"""Decides which servers may be tested: the target and the patterns of `--allow-host` in, TargetError out. Pure.

Names are compared as names, with `*` for any characters and `?` for one; addresses as addresses, however they are
written; networks contain addresses. A name never matches an address or a network: nothing is looked up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from inference_swarm.config.settings import Settings
from inference_swarm.config.variants import hosts_of
from inference_swarm.errors import SettingProblem, TargetError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_EXPECTED: Final = (
    "a name (model.example.org, *.test.example), an address (10.0.0.7, [::1]), a network (10.0.0.0/8, 10.0.0.*), or * "
    "for any server, each with or without a port (127.0.0.1:8000)"
)
_NAME: Final = re.compile(r"[a-z0-9_*?]([a-z0-9_.*?-]*[a-z0-9_*?])?")
_STARRED_IPV4: Final = re.compile(r"(\d{1,3}\.){1,3}(\*\.){0,2}\*")
_PORT: Final = re.compile(r"(?P<host>.*?)(:(?P<port>\d{1,5}|\*))?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern of `--allow-host`: `network` for addresses, `name` (a regular expression) for names, both for `*`."""

    network: IPv4Network | IPv6Network | None
    name: re.Pattern[str] | None
    port: int | None
    is_any: bool = False

    def allows(self, host: str, port: int) -> bool:
        """Return whether a server at this name or address and port may be tested."""
        if self.port not in (None, port):
            return False
        if self.is_any:
            return True
        address = _read_address(host)
        if address is not None:
            return self.network is not None and address in self.network
        return self.name is not None and self.name.fullmatch(_plain_name(host)) is not None


def parse_patterns(text: str) -> list[Pattern]:
    """Return the patterns of the setting, which semicolons separate. Raises SettingProblem."""
    return [_parse_pattern(part.strip()) for part in text.split(";") if part.strip()]


def check_hosts_allowed(settings: Settings, allowed: str, where: str) -> None:
    """Do `check_allowed` for every server that the run sends to: an A/B run may have two. Raises SwarmError."""
    for host in hosts_of(settings):
        check_allowed(host, allowed, where)


def check_allowed(url: str, allowed: str, where: str) -> None:
    """Raise TargetError unless a pattern allows the server of `url`, or there are none."""
    patterns = parse_patterns(allowed)
    if not patterns:
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    if any(pattern.allows(host, port) for pattern in patterns):
        return
    shown = f"[{host}]" if ":" in host else host
    listed = ", ".join(part.strip() for part in allowed.split(";") if part.strip())
    raise TargetError(
        f"{shown}:{port} may not be tested: {where} allows only {listed} (--allow-host)",
        expected="a server that one of these patterns names",
        action="test one of them, or add this one with --allow-host or SWARM_ALLOW_HOST on the master and all workers",
    )


def _parse_pattern(text: str) -> Pattern:
    host, port = _split_port(text)
    if host == "*":
        return Pattern(None, None, port, is_any=True)
    network = _read_network(host)
    if network is not None:
        return Pattern(network, None, port)
    name = _plain_name(host)
    # Digits and dots alone are an address that is not one (10.0.0.256), or one that systems read in their own ways.
    if not _NAME.fullmatch(name) or ".." in name or re.fullmatch(r"[0-9.*?]+", name):
        raise SettingProblem(
            f"--allow-host is {text!r}, which is neither a name nor an address nor a network.",
            expected=_EXPECTED,
            action="Correct --allow-host or SWARM_ALLOW_HOST.",
        )
    return Pattern(None, re.compile(re.escape(name).replace(r"\*", ".*").replace(r"\?", ".")), port)


def _split_port(text: str) -> tuple[str, int | None]:
    """Return the host without the brackets of an IPv6 address, and the port if there is one."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        match = re.fullmatch(r"(/\d{1,3})?(:(?P<port>\d{1,5}|\*))?", rest)
        if bracket and match and ":" in host:
            return host + (match[1] or ""), _read_port(match["port"], text)
        return text, None  # no pattern
    if text.count(":") > 1:  # an IPv6 address without brackets, which has no port
        return text, None
    match = _PORT.fullmatch(text)
    return (match["host"], _read_port(match["port"], text)) if match else (text, None)


def _read_port(text: str | None, pattern: str) -> int | None:
    if text in (None, "*"):
        return None
    port = int(text)
    if not 0 < port < 65536:
        raise SettingProblem(
            f"--allow-host is {pattern!r}, whose port is not one.",
            expected="a port from 1 to 65535",
            action="Correct --allow-host or SWARM_ALLOW_HOST.",
        )
    return port


def _read_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the literal address; an IPv4-mapped IPv6 address is an IPv4 address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _read_network(text: str) -> IPv4Network | IPv6Network | None:
    if _STARRED_IPV4.fullmatch(text):  # 10.0.* stands for 10.0.0.0/16
        parts = [part for part in text.split(".") if part != "*"]
        text = ".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}"
    if "/" in text:
        try:
            return ip_network(text)
        except ValueError:
            return None
    address = _read_address(text)
    return None if address is None else ip_network(address)


def _plain_name(host: str) -> str:
    """Return the name in lower case, without the dot at the end, as it goes over the wire."""
    name = host.lower().removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name
