"""Which latencies share a bucket: HdrHistogram's layout with 3 significant digits from 1 µs to 10 min. Pure."""

from __future__ import annotations

import math

import numpy as np

from inference_swarm.measure.counts_codec import Counts

SIGNIFICANT_DIGITS = 3
LOWEST_US = 1
HIGHEST_US = 600_000_000

# HdrHistogram: 2,048 sub-buckets hold 3 digits; 20 doublings of them reach 10 min; each after the first adds a half.
_HALF = 1024
BUCKET_COUNT = 21 * _HALF
_INDEX = np.arange(BUCKET_COUNT, dtype=np.int64)
_DOUBLING = np.maximum(_INDEX // _HALF - 1, 0)
LOWEST_IN_BUCKET_US: Counts = (_INDEX - _DOUBLING * _HALF) << _DOUBLING
HIGHEST_IN_BUCKET_US: Counts = LOWEST_IN_BUCKET_US + (1 << _DOUBLING) - 1
MIDDLE_IN_BUCKET_US = (LOWEST_IN_BUCKET_US + HIGHEST_IN_BUCKET_US) / 2
# The exponent and the first 10 mantissa bits of a double are the bucket, up to this constant: one shift per sample.
_MANTISSA_SHIFT = 52 - 10
_EXPONENT_OFFSET = (1023 + 9) * _HALF


def bucket_of_ns(values_ns: Counts) -> Counts:
    """The bucket of each latency, rounded to the nearest µs; what lies outside 0 to 10 min goes to the nearest end."""
    us = (np.clip(values_ns, 0, HIGHEST_US * 1000) + 500) / 1000.0
    return np.where(us < _HALF, us.astype(np.int64), (us.view(np.int64) >> _MANTISSA_SHIFT) - _EXPONENT_OFFSET)


def bucket_of_one_ns(value_ns: int) -> int:
    """The same for a single value, without arrays."""
    us = (min(max(value_ns, 0), HIGHEST_US * 1000) + 500) / 1000.0
    if us < _HALF:
        return int(us)
    mantissa, exponent = math.frexp(us)
    return ((exponent + 1022) * _HALF + int((2 * mantissa - 1) * _HALF)) - _EXPONENT_OFFSET


TOP_BUCKET = int(bucket_of_ns(np.array([HIGHEST_US * 1000]))[0])
