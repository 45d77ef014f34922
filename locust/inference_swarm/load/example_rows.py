"""Which rows a failed request was made of: looked for now and then, as a server may fail everything it gets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from inference_swarm.transport.outcome import Outcome

# Looking costs up to a millisecond, and one example a second of each kind of failure is more than anybody reads.
PERIOD_NS: Final = 1_000_000_000
MAX_TEXTS: Final = 50


def no_row_is_known(request: bytes) -> Sequence[int]:
    """For requests that were made of no row."""
    return ()


class ExampleRows:
    """Fills in `Outcome.rows` of failures, by error text at most once in PERIOD_NS."""

    def __init__(self, find_rows: Callable[[bytes], Sequence[int]] = no_row_is_known) -> None:
        self.find_rows = find_rows
        self._looked_ns: dict[str, int] = {}

    def note(self, outcome: Outcome, request: bytes) -> None:
        """The attempt to send this request has failed."""
        text = str(outcome.error)
        looked_ns = self._looked_ns.get(text)
        if looked_ns is None:
            if len(self._looked_ns) >= MAX_TEXTS:
                return
        elif outcome.done_ns - looked_ns < PERIOD_NS:
            return
        self._looked_ns[text] = outcome.done_ns
        outcome.rows = self.find_rows(request)
