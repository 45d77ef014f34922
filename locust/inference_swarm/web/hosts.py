"""Decides which host names the web UI responds to: a `Host` header in, yes or no out. Pure.

A page of another site can point its own name at this machine (DNS rebinding); its requests then look like ours in
everything but the name. An address cannot be redirected, so every address is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

ANY = "*"
_HEADER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/\\@?#,%]+)(:\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Names in lower case without a dot at the end; `suffixes` begin with a dot and allow every name below."""

    names: frozenset[str]
    suffixes: tuple[str, ...] = (".localhost",)
    is_any: bool = False

    def allow(self, header: str) -> bool:
        """Return whether a request with this `Host` header is allowed."""
        name = host_name(header)
        if name is None:
            return False
        if self.is_any or is_address(name):
            return True
        return name == "localhost" or name in self.names or name.endswith(self.suffixes)


def allowed_hosts(given: Iterable[str], own: Iterable[str], search_domains: Iterable[str] = ()) -> AllowedHosts:
    """`given` are names that a person allows, with `*.` in front for all below; `own` are those of this machine.

    A name without a dot is allowed with each search domain of the resolver too, or with the first parts of one:
    `swarm-master` as `swarm-master.load-tests.svc.cluster.local` and as `swarm-master.load-tests`.
    """
    texts = [text for text in (_plain(one) for one in given) if text]
    wild = [text for text in texts if text.startswith("*.")]
    names = {text for text in texts if not text.startswith("*")} | {_plain(name) for name in own if _plain(name)}
    for name in [name for name in names if "." not in name]:
        for domain in map(_plain, search_domains):
            parts = domain.split(".") if domain else []
            names.update(".".join([name, *parts[:count]]) for count in range(1, len(parts) + 1))
    return AllowedHosts(frozenset(names), (".localhost", *(text[1:] for text in wild)), ANY in texts)


def host_name(header: str) -> str | None:
    """The name or address of a `Host` header in lower case; None when it holds anything else than that and a port."""
    match = _HEADER.fullmatch(header.strip()) if header.isascii() else None
    return None if match is None else _plain(match[1].strip("[]"))


def is_address(name: str) -> bool:
    """Return whether this is an address, not a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def search_domains_of(resolv_conf: str) -> list[str]:
    """The search domains of an /etc/resolv.conf; the last line that has any counts."""
    domains: list[str] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if words and words[0] in ("search", "domain"):
            domains = words[1:]
    return domains


def _plain(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""
