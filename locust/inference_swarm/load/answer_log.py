"""What was seen of answers, from the worker's users to its counters. Values only."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

from inference_swarm.data.truth import RowTruth

_INT64: Final = "q"


class RightAnswers:
    """The answers to requests that were all in order and sent when they were intended, without a record for each.

    Nothing is allocated for one of them: what is kept would drive everything else out of the processor's cache.
    `truths` and `predictions` are parallel to the rest where rows have labels, and empty where they have none.
    """

    __slots__ = ("done_ns", "predictions", "row_counts", "sent_ns", "truths", "unknown_counts")

    def __init__(self) -> None:
        self.sent_ns: array[int] = array(_INT64)
        self.done_ns: array[int] = array(_INT64)
        self.row_counts: array[int] = array(_INT64)
        self.unknown_counts: array[int] = array(_INT64)
        """Of these, rows whose answers there was nothing to compare with."""
        self.truths: list[Sequence[RowTruth | None]] = []
        self.predictions: list[Sequence[Any]] = []

    def __len__(self) -> int:
        return len(self.done_ns)

    def take(self) -> Self:
        """Return all since the last call, and forget them."""
        taken = type(self)()
        for name in self.__slots__:
            getattr(taken, name).extend(getattr(self, name))
            del getattr(self, name)[:]
        return taken

    def part(self, places: Sequence[int]) -> Self:
        """Return some of them."""
        chosen = type(self)()
        for name in self.__slots__:
            if values := getattr(self, name):
                getattr(chosen, name).extend(values[place] for place in places)
        return chosen


class WrongAnswer(NamedTuple):
    """An answer to a row that is another than expected, with the body that was sent."""

    row: int
    expected: str
    got: str
    body: bytes
    is_examined: bool = False
    """Whether it was looked for among the right answers of other rows."""
    other_row: int | None = None
    """The row that was in flight at the same time whose right answer it is, and hardly any other row's."""

    @property
    def is_swapped(self) -> bool:
        return self.other_row is not None


class Judged(NamedTuple):
    """The answer to one request: instants in monotonic ns, what its rows are, what was predicted for each of them."""

    intended_ns: int
    sent_ns: int
    done_ns: int
    rows: Sequence[int]
    truths: Sequence[RowTruth | None]
    """One for each row, or none at all."""
    predictions: Sequence[Any] | None
    """None: there were none to be read."""
    wrong: tuple[WrongAnswer, ...] = ()
    is_failure: bool = False
    unknown: int = 0
    """Rows whose answers were not compared: none was recorded, or there was none."""
