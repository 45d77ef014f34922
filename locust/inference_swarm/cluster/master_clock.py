"""What the master's clock says, as a worker knows it: answers to its questions in, instants of its own clock out. Pure.

One clock: the master's monotonic one. On the master's own machine it is the worker's as well (same boot, same clock).
Elsewhere a worker asks for it a few times and believes the quickest answer, so that its error is at most half of that
answer's round trip. The error shifts a worker's arrivals against those of the others; latencies are taken from instants
of the worker's own clock and have none of it.
"""

from __future__ import annotations


class MasterClock:
    """Instants in ns. `boot` names what this process's clock counts from; empty if unknown."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._offset_ns = 0
        self.error_ns: int | None = None
        """At most so far off; None until an answer has come."""

    def forget(self) -> None:
        """Another master, another clock."""
        self._offset_ns, self.error_ns = 0, None

    def note(self, sent_ns: int, master_ns: int, received_ns: int, boot: str) -> None:
        """An answer; the quickest one is believed, unless both processes read the same clock."""
        if self._is_same(boot):
            return
        error_ns = (received_ns - sent_ns) // 2
        if error_ns >= 0 and (self.error_ns is None or error_ns < self.error_ns):
            self._offset_ns, self.error_ns = (sent_ns + received_ns) // 2 - master_ns, error_ns

    def note_message(self, master_ns: int, received_ns: int, boot: str) -> None:
        """A message that says when it was sent: better than nothing, since it cannot have come before."""
        if not self._is_same(boot) and self.error_ns is None:
            self._offset_ns = received_ns - master_ns

    def _is_same(self, boot: str) -> bool:
        if boot and boot == self._boot:
            self._offset_ns = self.error_ns = 0
            return True
        return False

    def to_local_ns(self, master_ns: int) -> int:
        """The same instant on this process's clock."""
        return master_ns + self._offset_ns
