"""Stored rows of the binary form in, bodies of several rows out. Pure.

A stored row has its numbers, the sizes of its texts, and the texts with their lengths. In a body the values of a column
stand together: numbers get there by one gather for all columns, texts by slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray


def join_of(
    constants: Sequence[bytes], digits: Sequence[int], widths: Sequence[int]
) -> Callable[[Sequence[bytes]], bytes]:
    """Return a function that makes a body of stored rows.

    `constants` stand around the numbers of the JSON, of each input its rows and its size, which have `digits`.
    `widths`: bytes a row of each input; 0 for text.
    """
    pattern = constants[0].replace(b"%", b"%%")
    for width, constant in zip(digits, constants[1:], strict=True):
        pattern += b"%%%dd" % width + constant.replace(b"%", b"%%")
    fixed_bytes, text_count = sum(widths), widths.count(0)
    gather = lru_cache(maxsize=2)(lambda rows: _gather(widths, rows))  # of whole batches, and of a last short one

    def join(stored: Sequence[bytes]) -> bytes:
        rows = len(stored)
        numbers = b"".join([row[:fixed_bytes] for row in stored])
        by_column = np.frombuffer(numbers, np.uint8)[gather(rows)].tobytes()
        texts = iter(_texts_by_column(stored, fixed_bytes, text_count) if text_count else ())
        sizes: list[int] = []
        data: list[bytes] = []
        begin = end = 0
        for width in widths:
            if width:
                end += width * rows
                sizes.append(width * rows)
                continue
            column = next(texts)
            data += (by_column[begin:end], column)
            sizes.append(len(column))
            begin = end
        data.append(by_column[begin:end])
        head = pattern % tuple(number for size in sizes for number in (rows, size))
        return b"".join((head, *data))

    return join


def _gather(widths: Sequence[int], rows: int) -> NDArray[np.intp]:
    """Return where each byte of the columns is in the rows, one after the other."""
    total = sum(widths)
    first = np.arange(rows, dtype=np.intp)[:, np.newaxis] * total
    begins = [0, *accumulate(widths)]
    return np.concatenate([(first + np.arange(begin, end)).reshape(-1) for begin, end in pairwise(begins)])


def _texts_by_column(stored: Sequence[bytes], begin: int, count: int) -> list[bytes]:
    sizes = np.frombuffer(b"".join([row[begin : begin + 4 * count] for row in stored]), "<u4").reshape(-1, count)
    ends = begin + 4 * count + np.cumsum(sizes, axis=1)
    starts = ends - sizes
    return [
        b"".join([row[start:end] for row, start, end in zip(stored, of_starts, of_ends, strict=True)])
        for of_starts, of_ends in zip(starts.T.tolist(), ends.T.tolist(), strict=True)
    ]
