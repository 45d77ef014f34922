"""The fields of a histogram as they travel, checked one by one; whether they go together is the histogram's to say."""

from __future__ import annotations

import zlib
from functools import lru_cache

from inference_swarm.errors import ProtocolError
from inference_swarm.measure.counts_codec import Counts, decode_used
from inference_swarm.measure.histogram_layout import BUCKET_COUNT

WIRE_VERSION = 1


def read_fields(wire: object) -> tuple[int, int, int, int, int, bytes]:
    """Return count, saturated, sum, minimum and maximum in ns, and packed counts; raises ProtocolError."""
    if not isinstance(wire, dict):
        raise ProtocolError(f"a histogram is a {type(wire).__name__}", expected="a dict made by Histogram.to_wire")
    if wire.get("version") != WIRE_VERSION:
        raise ProtocolError(
            f"histogram of version {wire.get('version')!r}",
            expected=f"version {WIRE_VERSION}",
            action="run the same release of inference-swarm on master and workers",
        )
    numbers = [wire.get(field) for field in ("count", "saturated", "min_ns", "max_ns")]
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 63:
            raise ProtocolError(f"a histogram value is {number!r}", expected="a whole number below 2^63")
    total, payload = wire.get("sum_ns"), wire.get("counts")
    if not isinstance(total, str) or not total.isascii() or not total.isdigit() or len(total) > 40:
        raise ProtocolError(f"histogram sum is {total!r}"[:120], expected="a whole number of ns as a string of digits")
    if not isinstance(payload, bytes):
        raise ProtocolError(f"histogram counts are a {type(payload).__name__}", expected="bytes")
    count, saturated, min_ns, max_ns = (int(number) for number in numbers if isinstance(number, int))
    return count, saturated, int(total), min_ns, max_ns, payload


@lru_cache(maxsize=2)  # a closed load's service times are its latencies: the same counts twice in a row
def unpack_counts(payload: bytes) -> tuple[Counts, Counts]:
    """Return the used buckets and their counts, of which nobody may change anything."""
    unpacker = zlib.decompressobj()
    try:
        words = unpacker.decompress(payload, BUCKET_COUNT * 8)
    except zlib.error as error:
        raise ProtocolError(f"histogram counts cannot be unpacked: {error}", expected="zlib data") from error
    if not unpacker.eof:
        raise ProtocolError("histogram counts are cut off or too long", expected="one whole zlib stream")
    return decode_used(words, BUCKET_COUNT)
