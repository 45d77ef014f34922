"""Stored rows of the binary form in, bodies of several rows out. Pure.

A stored row has its numbers, those of one width side by side, the sizes of its texts, and the texts with their lengths.
In a body the values of a column stand together: numbers get there by one transposition for each width, texts by slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np

_WORDS: Final[dict[int, Any]] = {8: np.uint64, 4: np.uint32, 2: np.uint16, 1: np.uint8}
WIDTHS: Final = tuple(_WORDS)
"""Bytes of values, in the order in which a stored row has them."""
Join = Callable[[Sequence[bytes]], bytes]


def join_of_columns(constants: Sequence[bytes], digits: Sequence[int], widths: Sequence[int]) -> Join:
    """Return a function that makes a body of stored rows.

    `constants` stand around the numbers of the JSON, of each input its rows and its size, which have `digits`.
    `widths`: bytes of a value of each input, 0 for text.
    """
    fixed_bytes, text_count = sum(widths), widths.count(0)
    ends = [0, *accumulate(width * widths.count(width) for width in WIDTHS)]
    runs = [(*run, word) for run, word in zip(pairwise(ends), _WORDS.values(), strict=True) if run[0] < run[1]]
    # Of whole batches, and of a last short one.
    pattern_of = lru_cache(maxsize=2)(lambda rows: _pattern(constants, digits, widths, rows))
    places_of = lru_cache(maxsize=2)(lambda rows: _places(widths, rows))

    def join(stored: Sequence[bytes]) -> bytes:
        rows = len(stored)
        numbers = np.frombuffer(b"".join([row[:fixed_bytes] for row in stored]), np.uint8).reshape(rows, fixed_bytes)
        by_column = b"".join([numbers[:, begin:end].view(word).T.tobytes() for begin, end, word in runs])
        texts = _texts_by_column(stored, fixed_bytes, text_count) if text_count else []
        left = iter(texts)
        data = [next(left) if place is None else by_column[place] for place in places_of(rows)]
        return b"".join((pattern_of(rows) % tuple(map(len, texts)), *data))

    return join


def join_of_matrix(constants: Sequence[bytes], digits: Sequence[int], row_bytes: int) -> Join:
    """Return the same for one input whose rows stay as they are."""
    pattern_of = lru_cache(maxsize=2)(lambda rows: _pattern(constants, digits, [row_bytes], rows) % ())
    return lambda stored: b"".join((pattern_of(len(stored)), *stored))


def _pattern(constants: Sequence[bytes], digits: Sequence[int], widths: Sequence[int], rows: int) -> bytes:
    """Return the JSON of requests with that number of rows, with places for the sizes of texts."""
    numbers = [number for width in widths for number in (rows, width * rows)]
    is_open = [is_text for width in widths for is_text in (False, not width)]
    pattern = constants[0].replace(b"%", b"%%")
    for number, is_left, width, constant in zip(numbers, is_open, digits, constants[1:], strict=True):
        pattern += (b"%%%dd" % width if is_left else b"%*d" % (width, number)) + constant.replace(b"%", b"%%")
    return pattern


def _places(widths: Sequence[int], rows: int) -> list[slice | None]:
    """Return where the values of each input are among all numbers by column; None for a text."""
    begins = dict(zip(WIDTHS, accumulate((rows * w * widths.count(w) for w in WIDTHS), initial=0), strict=False))
    places: list[slice | None] = []
    for width in widths:
        if width:
            places.append(slice(begins[width], begins[width] + rows * width))
            begins[width] += rows * width
        else:
            places.append(None)
    return places


def _texts_by_column(stored: Sequence[bytes], begin: int, count: int) -> list[bytes]:
    sizes = np.frombuffer(b"".join([row[begin : begin + 4 * count] for row in stored]), "<u4").reshape(-1, count)
    ends = begin + 4 * count + np.cumsum(sizes, axis=1)
    starts = ends - sizes
    return [
        b"".join([row[start:end] for row, start, end in zip(stored, of_starts, of_ends, strict=True)])
        for of_starts, of_ends in zip(starts.T.tolist(), ends.T.tolist(), strict=True)
    ]
