"""Collects the lines that say what was decided about a source; columns with the same decision share one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MAX_NAMED = 5


class Notes:
    """Lines about one source, in the order in which they were said."""

    def __init__(self, source: str, lines: Iterable[str] = ()) -> None:
        self._source = source
        self._lines: dict[str, list[str]] = {line: [] for line in lines}

    def add(self, line: str) -> None:
        """Add a line about the source as a whole."""
        self._lines.setdefault(f"{self._source}: {line}", [])

    def add_column(self, name: str, said: str) -> None:
        """Add a line about one column."""
        self._lines.setdefault(said, []).append(name)

    def lines(self) -> tuple[str, ...]:
        """Return all lines."""
        return tuple(line if not names else self._of_columns(line, names) for line, names in self._lines.items())

    def _of_columns(self, said: str, names: Sequence[str]) -> str:
        first, *others = names
        line = f"{self._source}: {first!r} {said}"
        if not others:
            return line
        shown = ", ".join(repr(name) for name in others[:_MAX_NAMED])
        more = f" and {len(others) - _MAX_NAMED:,} more" if len(others) > _MAX_NAMED else ""
        return f"{line}; the same goes for {shown}{more}"
