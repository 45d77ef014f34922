"""Histogram counts to bytes and back: the ZigZag LEB128 words of HdrHistogram's V2 encoding.

A positive word is the count of the next bucket, a negative one a run of that many empty buckets; buckets after
the last used one are left out. The same bytes travel to the master and stand in `latency.hlog`.
Format: `encodeIntoByteBuffer` and `ZigZagEncoding` of https://github.com/HdrHistogram/HdrHistogram
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference_swarm.errors import ProtocolError

Counts = npt.NDArray[np.int64]

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

    shifted = words[:, None] >> np.arange(0, 7 * MAX_WORD_BYTES, 7)
    has_more = np.zeros(shifted.shape, dtype=bool)
    has_more[:, :-1] = shifted[:, 1:] > 0
    is_used = np.ones(shifted.shape, dtype=bool)
    is_used[:, 1:] = has_more[:, :-1]
    octets: npt.NDArray[np.uint8] = ((shifted & 0x7F) | (has_more.astype(np.int64) << 7))[is_used].astype(np.uint8)
    return octets.tobytes()


def decode_counts(payload: bytes, counts_length: int) -> Counts:
    """The counts of `counts_length` buckets; raises ProtocolError for bytes that `encode_counts` cannot have made."""
    counts = np.zeros(counts_length, dtype=np.int64)
    if not payload:
        return counts
    octets = np.frombuffer(payload, dtype=np.uint8).astype(np.int64)
    ends = np.flatnonzero(octets < 0x80)
    if not ends.size or ends[-1] != octets.size - 1:
        raise ProtocolError("histogram counts end in the middle of a number", expected="whole LEB128 words")
    starts = np.concatenate([[0], ends[:-1] + 1])
    if np.any(ends - starts >= MAX_WORD_BYTES):
        raise ProtocolError("a histogram count needs more than 8 bytes", expected="counts below 2^55")
    places = np.arange(octets.size) - np.repeat(starts, ends - starts + 1)
    words = np.add.reduceat((octets & 0x7F) << (7 * places), starts)
    values = (words >> 1) ^ -(words & 1)

    runs = np.where(values < 0, -values, 1)
    if np.any(runs > counts_length) or int(runs.sum()) > counts_length:
        raise ProtocolError(
            f"histogram counts reach beyond bucket {counts_length}", expected=f"at most {counts_length} buckets"
        )
    positions = np.cumsum(runs) - runs
    is_count = values > 0
    counts[positions[is_count]] = values[is_count]
    return counts
