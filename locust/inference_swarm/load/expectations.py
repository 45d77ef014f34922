"""When a prediction is another than the one that was expected: recorded in calm, or given before to the same row. Pure.

Fractional numbers are the same within a tolerance, which is absolute below 1 and relative above; all else is equal or
not.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Sequence
from typing import Any, Final, Protocol

import orjson

from inference_swarm.data.truth import RowTruth

# Rows that are remembered side by side: a shard of small blocks has them all over the dataset.
_PAGE_BITS: Final = 9
_PAGE_ROWS: Final = 1 << _PAGE_BITS
_UNSEEN: Final = array("d", [math.nan]) * _PAGE_ROWS
# No two components weigh the same, so that a list with two of them exchanged is another one.
_WEIGHTS: Final = tuple(1.0 + math.modf(0.618_033_988_749_895 * number)[0] for number in range(1, 65))


class Expectation(Protocol):
    """Says what was expected of a row, if anything was."""

    def is_met(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        """Return whether a prediction is right; True where nothing is known."""

    def are_met(self, rows: Sequence[int], truths: Sequence[RowTruth | None], predictions: Sequence[Any]) -> bool:
        """Return whether all predictions of a request are right."""

    def count_unknown(self, truths: Sequence[RowTruth | None]) -> int:
        """Return how many rows of a request there is nothing to compare with for."""

    def is_answer_of(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        """Return whether it would be right for this row; False where nothing is known."""

    def shown(self, row: int, truth: RowTruth | None) -> str:
        """Return what was expected, for people."""


class Recorded:
    """The answers of a file."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance

    def is_met(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        if truth is None or truth.expected is None:
            return True
        expected = truth.expected
        return expected == prediction or is_same(expected, prediction, self._tolerance)

    def are_met(self, rows: Sequence[int], truths: Sequence[RowTruth | None], predictions: Sequence[Any]) -> bool:
        for row, truth, prediction in zip(rows, truths, predictions, strict=True):
            if (truth is None or truth.expected != prediction) and not self.is_met(row, truth, prediction):
                return False
        return True

    def count_unknown(self, truths: Sequence[RowTruth | None]) -> int:
        count = 0
        for truth in truths:
            if truth is None or truth.expected is None:
                count += 1
        return count

    def is_answer_of(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        return truth is not None and truth.expected is not None and self.is_met(row, truth, prediction)

    def shown(self, row: int, truth: RowTruth | None) -> str:
        return "" if truth is None else show_answer(truth.expected)


class Remembered:
    """The first answer to each row, in 8 bytes: a number as it is, a list as a weighted sum, all else as a checksum."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._pages: dict[int, array[float]] = {}

    def is_met(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        number = number_of(prediction)
        page = self._pages.get(row >> _PAGE_BITS)
        if page is None:
            page = self._pages[row >> _PAGE_BITS] = _UNSEEN[:]
        place = row & (_PAGE_ROWS - 1)
        known = page[place]
        if known == number or is_close(known, number, self._tolerance_of(prediction)):
            return True
        if not math.isnan(known):
            return False
        page[place] = number
        return True

    def are_met(self, rows: Sequence[int], truths: Sequence[RowTruth | None], predictions: Sequence[Any]) -> bool:
        return all(self.is_met(row, None, prediction) for row, prediction in zip(rows, predictions, strict=True))

    def count_unknown(self, truths: Sequence[RowTruth | None]) -> int:
        return 0  # the first answer to a row is what the next is compared with

    def is_answer_of(self, row: int, truth: RowTruth | None, prediction: Any) -> bool:
        page = self._pages.get(row >> _PAGE_BITS)
        if page is None:
            return False
        return is_close(page[row & (_PAGE_ROWS - 1)], number_of(prediction), self._tolerance_of(prediction))

    def shown(self, row: int, truth: RowTruth | None) -> str:
        page = self._pages.get(row >> _PAGE_BITS)
        return "" if page is None else f"as before ({page[row & (_PAGE_ROWS - 1)]:.9g})"

    def _tolerance_of(self, prediction: Any) -> float:
        return self._tolerance if isinstance(prediction, int | float | list) else 0.0


def is_same(expected: Any, got: Any, tolerance: float) -> bool:
    """Return whether two predictions are the same one."""
    if isinstance(expected, float) or isinstance(got, float):
        return _is_number(expected) and _is_number(got) and is_close(float(expected), float(got), tolerance)
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return False
        return all(is_same(one, other, tolerance) for one, other in zip(expected, got, strict=True))
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(is_same(expected[key], got[key], tolerance) for key in expected)
    return bool(expected == got)


def is_close(expected: float, got: float, tolerance: float) -> bool:
    """Return whether two numbers differ by no more than the tolerance; False for NaN."""
    return abs(got - expected) <= tolerance * max(1.0, abs(expected))


def number_of(prediction: Any) -> float:
    """Return a number that stands for a prediction: close for close numbers and for lists of close numbers."""
    if isinstance(prediction, int | float):
        return float(prediction)
    if isinstance(prediction, list) and len(prediction) <= len(_WEIGHTS) and all(map(_is_number, prediction)):
        return float(sum(weight * value for weight, value in zip(_WEIGHTS, prediction, strict=False)))
    return float(zlib.crc32(orjson.dumps(prediction, option=orjson.OPT_SORT_KEYS)))


def show_answer(answer: Any) -> str:
    """Return a prediction for people."""
    return answer if isinstance(answer, str) else orjson.dumps(answer).decode()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
