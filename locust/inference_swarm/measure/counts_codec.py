"""Histogram counts to bytes and back: the ZigZag LEB128 words of HdrHistogram's V2 encoding.

A positive word is the count of the next bucket, a negative one a run of that many empty buckets; buckets after
the last used one are left out. The same bytes travel to the master and stand in `latency.hlog`.
Format: `encodeIntoByteBuffer` and `ZigZagEncoding` of https://github.com/HdrHistogram/HdrHistogram
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_swarm.errors import ProtocolError

Counts = npt.NDArray[np.int64]
Used = npt.NDArray[np.integer[Any]]  # of whatever width they came in

# The ninth byte of HdrHistogram's LEB128 has eight data bits; counts that need it (above 2^55) are refused.
MAX_WORD_BYTES = 8


def encode_counts(counts: Counts) -> bytes:
    """Words of all buckets up to the last used one; empty counts give no bytes."""
    used = np.flatnonzero(counts)
    if not used.size:
        return b""
    gaps = np.diff(used, prepend=-1) - 1
    pairs = np.empty((used.size, 2), dtype=np.int64)
    # ZigZag: n >= 0 is written as 2n, n < 0 as -2n - 1. A single empty bucket is written as the count 0.
    pairs[:, 0] = np.where(gaps > 1, 2 * gaps - 1, 0)
    pairs[:, 1] = 2 * counts[used]
    is_written = np.column_stack([gaps > 0, np.ones(used.size, dtype=bool)])
    words = pairs[is_written]

    # Most words are of one or two octets: place by place, over those that reach it.
    more = np.zeros(words.size, dtype=np.int64)
    for place in range(1, MAX_WORD_BYTES):
        is_longer = words >= 1 << (7 * place)
        if not is_longer.any():
            break
        more += is_longer
    ends = (more + 1).cumsum()
    octets = np.empty(int(ends[-1]), dtype=np.uint8)
    firsts = ends - more - 1
    octets[firsts] = (words & 0x7F) | ((more > 0) << 7)
    for place in range(1, int(more.max()) + 1):
        long = (more >= place).nonzero()[0]
        octets[firsts[long] + place] = ((words[long] >> (7 * place)) & 0x7F) | ((more[long] > place) << 7)
    return octets.tobytes()


def decode_counts(payload: bytes, counts_length: int) -> Counts:
    """The counts of `counts_length` buckets; raises ProtocolError for bytes that `encode_counts` cannot have made."""
    counts = np.zeros(counts_length, dtype=np.int64)
    places, values = decode_used(payload, counts_length)
    counts[places] = values
    return counts


def decode_used(payload: bytes, counts_length: int) -> tuple[Counts, Counts]:
    """The buckets that are used, ascending, and their counts; raises ProtocolError as `decode_counts` does.

    A master does this for every report: 25 us for 300 buckets, a third of what going over all octets at once took.
    """
    if not payload:
        return _NONE, _NONE
    octets = np.frombuffer(payload, dtype=np.uint8)
    ends = (octets < 0x80).nonzero()[0]
    if not ends.size or ends[-1] != octets.size - 1:
        raise ProtocolError("histogram counts end in the middle of a number", expected="whole LEB128 words")
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    more_octets = ends - starts
    longest = int(more_octets.max())
    if longest >= MAX_WORD_BYTES:
        raise ProtocolError("a histogram count needs more than 8 bytes", expected="counts below 2^55")
    words = (octets[starts] & 0x7F).astype(np.int64)
    for place in range(1, longest + 1):
        long = (more_octets >= place).nonzero()[0]
        words[long] |= (octets[starts[long] + place] & 0x7F).astype(np.int64) << (7 * place)
    values = (words >> 1) ^ -(words & 1)

    runs = np.maximum(-values, 1)
    if int(runs.max()) > counts_length or int(runs.sum()) > counts_length:
        raise ProtocolError(
            f"histogram counts reach beyond bucket {counts_length}", expected=f"at most {counts_length} buckets"
        )
    places = runs.cumsum() - runs
    is_count = values > 0
    return places[is_count], values[is_count]


def add_parts(counts: Counts, parts: Sequence[tuple[Used, Used]]) -> None:
    """Add to `counts` the used buckets and their counts of all parts, of which each may use the same ones."""
    buckets = np.concatenate([buckets for buckets, _ in parts], dtype=np.intp)
    np.add.at(counts, buckets, np.concatenate([counts for _, counts in parts], dtype=np.int64))


_NONE: Counts = np.zeros(0, dtype=np.int64)
