"""Chooses the address of the server's name for the next connection. Pure: time is a parameter.

Connections are spread evenly: the address with the fewest comes first. One that just failed rests, so that it is tried
after all others until its rest is over; then one connection finds out whether it is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_REST_S: Final = 5.0
MAX_REST_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """The address that a socket of `family` connects to; IPv6 has a flow label and a scope as well."""

    family: int
    socket_address: tuple[str, int] | tuple[str, int, int, int]

    @property
    def label(self) -> str:
        """The usual notation: 10.0.0.7:8080 or [fd00::7]:8080."""
        host, port = self.socket_address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(slots=True)
class _State:
    connections: int = 0
    failures_in_row: int = 0
    rests_until_s: float = float("-inf")


class AddressPool:
    """Counts the connections of each address, and knows which addresses rest."""

    def __init__(self, *, first: int = 0) -> None:
        """`first` says which of equally good addresses comes first, so that not all workers begin with the same."""
        self._turn = first
        self._states: dict[Address, _State] = {}

    def order(self, addresses: tuple[Address, ...], now_s: float) -> tuple[Address, ...]:
        """Return all addresses, best first."""
        if len(addresses) < 2:
            return addresses
        self._turn += 1
        count = len(addresses)
        turned = {address: (index - self._turn) % count for index, address in enumerate(addresses)}

        def rank(address: Address) -> tuple[bool, int, int]:
            state = self._states.get(address) or _State()
            return state.rests_until_s > now_s, state.connections, turned[address]

        return tuple(sorted(addresses, key=rank))

    def reserve(self, address: Address) -> None:
        """Count a connection that begins."""
        self._state(address).connections += 1

    def release(self, address: Address) -> None:
        """Release a connection that has ended, or was not made."""
        self._state(address).connections -= 1

    def note_success(self, address: Address) -> None:
        state = self._state(address)
        state.failures_in_row = 0
        state.rests_until_s = float("-inf")

    def note_failure(self, address: Address, now_s: float) -> None:
        """Note that an address refused or was slower than another; failures while it rests are ignored."""
        state = self._state(address)
        if state.rests_until_s > now_s:
            return
        state.rests_until_s = now_s + min(FIRST_REST_S * 2.0 ** min(state.failures_in_row, 10), MAX_REST_S)
        state.failures_in_row += 1

    def keep_only(self, addresses: tuple[Address, ...]) -> None:
        """Forget addresses that the name no longer has and that no connection uses."""
        for address in [each for each, state in self._states.items() if not state.connections]:
            if address not in addresses:
                del self._states[address]

    def connection_count(self, address: Address) -> int:
        state = self._states.get(address)
        return state.connections if state else 0

    def _state(self, address: Address) -> _State:
        return self._states.setdefault(address, _State())
