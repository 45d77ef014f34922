"""Interval histograms to the lines of a HdrHistogram log (`latency.hlog`) and back.

Values are in µs, `Interval_Max` in ms; a line's tag is the request name, with %XX for what a tag may not hold.
Format: HistogramLogWriter and V2 compressed encoding of https://github.com/HdrHistogram/HdrHistogram
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from inference_swarm.errors import DataError, SwarmError
from inference_swarm.measure.counts_codec import decode_counts, encode_counts
from inference_swarm.measure.histogram import BUCKET_COUNT, HIGHEST_US, LOWEST_US, SIGNIFICANT_DIGITS, Histogram

_V2_COOKIE = 0x1C849303 | 0x10
_V2_COMPRESSED_COOKIE = 0x1C849304 | 0x10
# cookie, bytes that follow, normalizing index offset, significant digits, lowest, highest, conversion ratio
_HEADER = struct.Struct(">IIIIQQd")
_OUTER_HEADER = struct.Struct(">II")
_MAX_PAYLOAD_BYTES = _HEADER.size + 9 * BUCKET_COUNT

_START_TIME = re.compile(r"#\[StartTime: *([\d.]+)")
_INTERVAL = re.compile(r"(?:Tag=([^,\s]*),)?([\d.]+),([\d.]+),([\d.]+),([A-Za-z0-9+/=]+)\s*$")


@dataclass(frozen=True, slots=True)
class HlogInterval:
    """One line of the log; `start_s` is since the start of the run."""

    tag: str
    start_s: float
    length_s: float
    histogram: Histogram


def encode_histogram(histogram: Histogram) -> str:
    """The base64 text that every HdrHistogram implementation decodes; exact minimum, maximum and sum are not in it."""
    words = encode_counts(histogram.counts)
    header = _HEADER.pack(_V2_COOKIE, len(words), 0, SIGNIFICANT_DIGITS, LOWEST_US, HIGHEST_US, 1.0)
    packed = zlib.compress(header + words)
    return base64.b64encode(_OUTER_HEADER.pack(_V2_COMPRESSED_COOKIE, len(packed)) + packed).decode("ascii")


def decode_histogram(text: str) -> Histogram:
    """Read base64 text of a histogram with 3 digits and a unit of 1; raises DataError for any other."""
    try:
        outer = base64.b64decode(text, validate=True)
        cookie, packed_bytes = _OUTER_HEADER.unpack_from(outer)
        payload = zlib.decompressobj().decompress(outer[_OUTER_HEADER.size :][:packed_bytes], _MAX_PAYLOAD_BYTES)
        inner_cookie, words_bytes, _, digits, lowest, _, _ = _HEADER.unpack_from(payload)
    except (binascii.Error, struct.error, zlib.error) as error:
        raise DataError(f"histogram text {text[:20]!r}… cannot be decoded: {error}", expected=_EXPECTED) from error
    if (cookie, inner_cookie, digits, lowest) != (_V2_COMPRESSED_COOKIE, _V2_COOKIE, SIGNIFICANT_DIGITS, LOWEST_US):
        raise DataError(
            f"histogram text {text[:20]!r}… has cookies {cookie:#x}, {inner_cookie:#x}; {digits} digits, unit {lowest}",
            expected=_EXPECTED,
        )
    words = payload[_HEADER.size :]
    if len(words) != words_bytes:
        raise DataError(f"histogram text {text[:20]!r}… says {words_bytes} bytes and holds {len(words)}")
    try:
        return Histogram.from_counts(decode_counts(words, BUCKET_COUNT))
    except SwarmError as error:
        raise DataError(f"histogram text {text[:20]!r}…: {error.found}", expected=_EXPECTED) from error


_EXPECTED = "a V2 compressed HdrHistogram with 3 significant digits, lowest value 1 and highest up to 600,000,000"


def hlog_lines(run_start_unix_s: float, intervals: Iterable[HlogInterval]) -> Iterator[str]:
    """The lines of the file, each with its line end, in the order given."""
    started = datetime.fromtimestamp(run_start_unix_s, UTC).isoformat(timespec="milliseconds")
    yield "#[Logged with inference-swarm; values in microseconds, Interval_Max in milliseconds]\n"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {run_start_unix_s:.3f} (seconds since epoch), {started}]\n"
    yield f"#[BaseTime: {run_start_unix_s:.3f} (seconds since epoch)]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    for interval in intervals:
        tag = f"Tag={_escape_tag(interval.tag)}," if interval.tag else ""
        highest_ms = interval.histogram.max_us / 1000 if interval.histogram.count else 0.0
        text = encode_histogram(interval.histogram)
        yield f"{tag}{interval.start_s:.3f},{interval.length_s:.3f},{highest_ms:.3f},{text}\n"


def read_hlog(lines: Iterable[str]) -> tuple[float, list[HlogInterval]]:
    """Unix time of the run's start (0 where the log has none) and its intervals; raises DataError naming the line."""
    start_unix_s, intervals = 0.0, []
    for number, line in enumerate(lines, 1):
        if started := _START_TIME.match(line):
            start_unix_s = float(started[1])
        elif not line.strip() or line.startswith(("#", '"')):
            continue
        elif found := _INTERVAL.match(line):
            try:
                histogram = decode_histogram(found[5])
                interval = HlogInterval(unquote(found[1] or ""), float(found[2]), float(found[3]), histogram)
            except (DataError, ValueError) as error:
                raise DataError(f"line {number} of the histogram log: {error}") from error
            intervals.append(interval)
        else:
            raise DataError(
                f"line {number} of the histogram log is {line.strip()[:60]!r}",
                expected="Tag=NAME,START,LENGTH,MAX,HISTOGRAM or a comment",
            )
    return start_unix_s, intervals


def _escape_tag(name: str) -> str:
    # HdrHistogram forbids commas, spaces and line breaks in tags.
    return re.sub(r"[%,\s]", lambda found: "".join(f"%{octet:02X}" for octet in found[0].encode()), name)
