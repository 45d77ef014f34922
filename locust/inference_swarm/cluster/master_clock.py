"""The master's clock as a worker knows it: replies to its questions in, instants of its own clock out. Pure.

One clock: the master's monotonic one. On the master's own machine it is the worker's as well (same boot, same clock).
Elsewhere a worker asks for it a few times and takes the quickest reply, so that its error is at most half of that
reply's round trip. The error shifts a worker's arrivals against those of the others; latencies are taken from instants
of the worker's own clock and have none of it.
"""

from __future__ import annotations


class MasterClock:
    """Instants in ns. `boot` names what this process's clock counts from; empty if unknown."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._offset_ns = 0
        self.error_ns: int | None = None
        """The maximum error; None until a reply has arrived."""

    def forget(self) -> None:
        """Forget the clock of the former master."""
        self._offset_ns, self.error_ns = 0, None

    def note(self, sent_ns: int, master_ns: int, received_ns: int, boot: str) -> None:
        """Take in a reply; the quickest one counts, unless both processes read the same clock."""
        if self._is_same(boot):
            return
        error_ns = (received_ns - sent_ns) // 2
        if error_ns >= 0 and (self.error_ns is None or error_ns < self.error_ns):
            self._offset_ns, self.error_ns = (sent_ns + received_ns) // 2 - master_ns, error_ns

    def note_message(self, master_ns: int, received_ns: int, boot: str) -> None:
        """Take in the sending time of another message: a bound, since it cannot have arrived before."""
        if not self._is_same(boot) and self.error_ns is None:
            self._offset_ns = received_ns - master_ns

    def _is_same(self, boot: str) -> bool:
        if boot and boot == self._boot:
            self._offset_ns = self.error_ns = 0
            return True
        return False

    def to_local_ns(self, master_ns: int) -> int:
        """Return the same instant on this process's clock."""
        return master_ns + self._offset_ns
