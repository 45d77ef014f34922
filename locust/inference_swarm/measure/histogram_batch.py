"""All histograms of a report in one piece: a master reads some hundred of them in little more time than one.

What goes on beside it (counters, names) refers to a histogram by its number, from 1; 0 is an empty one, and two with
the same samples have one number. Values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from inference_swarm.config.documents import Document
from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counts_codec import Counts, Used
from inference_swarm.measure.histogram import Histogram
from inference_swarm.measure.histogram_layout import BUCKET_COUNT, HIGHEST_US, TOP_BUCKET, bucket_of_ns

FIELDS: Final = ("exact", "used", "width", "packed")
MAX_BYTES: Final = 1 << 26  # unpacked: ten million used buckets, which take half a second; no worker has so many
MAX_COUNT: Final = 1 << 55
MAX_SAMPLES: Final = 1 << 62  # of all together
FEW: Final = 6  # each by itself takes 10 to 14 us; all at once 70 us, and 2 to 7 us for each
_GAP: Final = np.dtype("<u2")
_WIDTHS: Final = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_EXACT: Final = 5  # saturated samples, minimum, maximum, the sum's upper part and its lower 32 bits
_LOW_BITS: Final = 32
_CODEC: Final = "zstd"
_NONE: Final = np.zeros(0, dtype=np.int64)


class HistogramWriter:
    """Gives each histogram its number, and packs them."""

    def __init__(self) -> None:
        self._exact: list[tuple[int, ...]] = []
        self._used: list[tuple[Used, Used]] = []
        self._numbers: dict[tuple[int, ...], int] = {}

    def number(self, histogram: Histogram) -> int:
        """Return the number under which the histogram is read; it must not change until all are packed."""
        if not histogram.count:
            return 0
        exact, used = histogram.exact, histogram.used()
        # A closed load's service times are its latencies, and those of the server's one address are its latencies, too.
        known = self._numbers.get(exact, 0)
        if not known or not all(map(np.array_equal, self._used[known - 1], used)):
            self._exact.append(exact)
            self._used.append(used)
            known = self._numbers[exact] = len(self._used)
        return known

    def to_wire(self) -> Document:
        """Return the histograms as a dict that msgpack can carry."""
        buckets = [buckets for buckets, _ in self._used]
        # Those that were read have the widths in which they came: of uint64 and int64 numpy makes floats.
        counts = np.concatenate([_NONE, *(counts for _, counts in self._used)], dtype=np.int64)
        gaps = [np.diff(one, prepend=0) for one in buckets]
        width = _width_of(counts).itemsize
        plain = b"".join(one.astype(_GAP).tobytes() for one in gaps) + counts.astype(_WIDTHS[width]).tobytes()
        rows = [
            (saturated, low_ns, high_ns, sum_ns >> _LOW_BITS, sum_ns & ((1 << _LOW_BITS) - 1))
            for _, saturated, sum_ns, low_ns, high_ns in self._exact
        ]
        return {
            "exact": np.array(rows, dtype="<i8").tobytes(),
            "used": np.array([one.size for one in buckets], dtype="<u4").tobytes(),
            "width": width,
            "packed": pa.compress(plain, codec=_CODEC, asbytes=True),
        }


def _width_of(counts: Counts) -> np.dtype[Any]:
    """The narrowest type that holds all counts."""
    highest = int(counts.max(initial=0))
    return next(kind for width, kind in _WIDTHS.items() if highest < 1 << (8 * width))


def read_histograms(wire: object) -> list[Histogram]:
    """Read what `HistogramWriter.to_wire` returned; raises ProtocolError for anything that does not add up."""
    lengths, exact, gaps, counts = _unpack(wire)
    if not lengths.size:
        return []
    if lengths.size <= FEW:
        return _read_one_by_one(lengths, exact, gaps, counts)
    ends = lengths.cumsum()
    starts = ends - lengths
    lasts = np.add.reduceat(gaps, starts, dtype=np.int64)
    firsts = gaps[starts]
    has_gaps = int(np.count_nonzero(gaps)) - int(np.count_nonzero(firsts)) == gaps.size - firsts.size
    if int(lasts.max()) >= BUCKET_COUNT or not has_gaps or not counts.all():
        raise _bad_buckets()
    # Modulo 2^16, which no bucket reaches: to go over narrow numbers takes a fraction of the time.
    reached = gaps.cumsum(dtype=_GAP)
    buckets = reached - (reached[starts] - firsts).repeat(lengths)
    totals = np.add.reduceat(counts, starts, dtype=np.int64)
    sums = [(high << _LOW_BITS) + low for high, low in exact[:, 3:].tolist()]
    _check(exact, totals, sums, firsts, lasts, counts[ends - 1])
    return list(_split(buckets, counts, ends, exact, totals, sums))


def _read_one_by_one(lengths: Counts, exact: Counts, gaps: Used, counts: Used) -> list[Histogram]:
    """The same with the fewest steps for each: most reports hold one or two."""
    found, start = [], 0
    for length, row in zip(lengths.tolist(), exact.tolist(), strict=True):
        end = start + length
        reached, used = gaps[start:end].cumsum(dtype=np.int64), counts[start:end]
        if reached[-1] >= BUCKET_COUNT or not gaps[start + 1 : end].all() or not used.all():
            raise _bad_buckets()
        saturated, low_ns, high_ns, upper, lower = row
        if min(row) < 0 or lower >> _LOW_BITS:
            raise _bad_exact()
        sum_ns = (upper << _LOW_BITS) + lower
        found.append(Histogram.from_samples(reached.astype(_GAP), used.copy(), saturated, sum_ns, low_ns, high_ns))
        start = end
    return found


def _bad_buckets() -> ProtocolError:
    return ProtocolError(
        f"histogram counts that reach beyond bucket {BUCKET_COUNT}, or are none", expected="ascending buckets in use"
    )


def _bad_exact() -> ProtocolError:
    return ProtocolError(
        "histogram minimum, maximum, sum or saturated samples contradict its buckets",
        expected="values of the same samples",
    )


def _split(
    buckets: Used, counts: Used, ends: Counts, exact: Counts, totals: Counts, sums: list[int]
) -> Iterator[Histogram]:
    saturated, low_ns, high_ns = exact[:, 0].tolist(), exact[:, 1].tolist(), exact[:, 2].tolist()
    values = zip(totals.tolist(), saturated, sums, low_ns, high_ns, strict=True)
    for (start, end), one in zip(pairwise([0, *ends.tolist()]), values, strict=True):
        # Copies: a name that is rarely used would keep all of the report.
        yield Histogram.from_used(buckets[start:end].copy(), counts[start:end].copy(), one)


def _unpack(wire: object) -> tuple[Counts, Counts, Used, Used]:
    """Return how many buckets each histogram uses, its exact values, and all gaps and counts in one row."""
    if not isinstance(wire, dict) or set(wire) != set(FIELDS):
        raise ProtocolError(f"histograms are a {type(wire).__name__}", expected=f"a dict of {', '.join(FIELDS)}")
    width, octets = wire["width"], [wire[name] for name in ("exact", "used", "packed")]
    if type(width) is not int or width not in _WIDTHS or not all(isinstance(one, bytes) for one in octets):
        raise ProtocolError("histograms with fields of other types", expected="bytes, and a width of 1, 2, 4 or 8")
    try:
        lengths = np.frombuffer(octets[1], dtype="<u4").astype(np.int64)
        exact = np.frombuffer(octets[0], dtype="<i8").astype(np.int64).reshape(lengths.size, _EXACT)
        total, is_used = int(lengths.sum()), bool(lengths.all())
        size = total * (_GAP.itemsize + width)
        if size > MAX_BYTES or not is_used:
            raise ValueError(f"{lengths.size} of {total} buckets")
        plain = pa.decompress(octets[2], decompressed_size=size, codec=_CODEC, asbytes=True)
        gaps = np.frombuffer(plain, dtype=_GAP, count=total)
        counts = np.frombuffer(plain, dtype=_WIDTHS[width], count=total, offset=total * _GAP.itemsize)
    except (ValueError, OSError) as error:
        raise ProtocolError(f"histograms cannot be unpacked: {error}", expected="a message of this release") from error
    if width == max(_WIDTHS) and total:
        if int(counts.max()) >= MAX_COUNT:
            raise ProtocolError("a histogram count needs more than 8 bytes", expected="counts below 2^55")
        if float(counts.sum(dtype=np.float64)) >= MAX_SAMPLES:
            raise ProtocolError("histograms of more than 2^62 samples", expected="samples that were taken")
    return lengths, exact, gaps, counts


def _check(exact: Counts, totals: Counts, sums: list[int], firsts: Used, lasts: Counts, tops: Used) -> None:
    """Raise ProtocolError where exact values contradict the buckets; those are first and last used ones."""
    saturated, low_ns, high_ns = exact[:, 0], exact[:, 1], exact[:, 2]
    is_sound = (
        not (exact < 0).any()
        and not (exact[:, 4] >> _LOW_BITS).any()
        and np.array_equal(bucket_of_ns(exact[:, 1:3]), np.column_stack((firsts, lasts)))
        and bool((saturated <= np.where(lasts == TOP_BUCKET, tops, 0)).all())
        and np.array_equal(saturated > 0, high_ns > HIGHEST_US * 1000)
        and all(
            low * count <= sum_ns <= high * count
            for low, high, count, sum_ns in zip(low_ns.tolist(), high_ns.tolist(), totals.tolist(), sums, strict=True)
        )
    )
    if not is_sound:
        raise _bad_exact()
