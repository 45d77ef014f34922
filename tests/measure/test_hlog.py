from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_swarm.errors import DataError
from inference_swarm.measure.histogram import HIGHEST_US, Histogram
from inference_swarm.measure.hlog import HlogInterval, decode_histogram, encode_histogram, hlog_lines, read_hlog

hdrh_histogram = pytest.importorskip("hdrh.histogram")
hdrh_log = pytest.importorskip("hdrh.log")

START_UNIX_S = 1_760_000_000.25
values_us = st.lists(st.one_of(st.integers(0, 3000), st.integers(0, HIGHEST_US)), max_size=100)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_ns(np.array(values, dtype=np.int64) * 1000)
    return histogram


@settings(deadline=None)
@given(values_us)
def test_the_hdrhistogram_library_decodes_our_histograms(values: list[int]) -> None:
    theirs = hdrh_histogram.HdrHistogram(1, HIGHEST_US, 3)
    for value in values:
        theirs.record_value(value)
    decoded = hdrh_histogram.HdrHistogram.decode(encode_histogram(histogram_of(values)))
    assert decoded.get_total_count() == len(values)
    for percentile in (0, 50, 99, 99.9, 100):
        assert decoded.get_value_at_percentile(percentile) == theirs.get_value_at_percentile(percentile)
    assert decoded.encode() == theirs.encode()


@settings(deadline=None)
@given(values_us)
def test_we_decode_histograms_of_the_hdrhistogram_library(values: list[int]) -> None:
    theirs = hdrh_histogram.HdrHistogram(1, HIGHEST_US, 3)
    for value in values:
        theirs.record_value(value)
    assert np.array_equal(decode_histogram(theirs.encode().decode()).counts, histogram_of(values).counts)


def test_the_hdrhistogram_library_reads_our_log(tmp_path: Path) -> None:
    intervals = [
        HlogInterval("POST /invocation, 100%", 0.0, 3.0, histogram_of([400, 500, 90_000])),
        HlogInterval("", 3.0, 2.5, histogram_of([700])),
    ]
    log = tmp_path / "latency.hlog"
    log.write_text("".join(hlog_lines(START_UNIX_S, intervals)))
    reader = hdrh_log.HistogramLogReader(str(log), hdrh_histogram.HdrHistogram(1, HIGHEST_US, 3))
    first, second = reader.get_next_interval_histogram(), reader.get_next_interval_histogram()
    assert reader.get_start_time_sec() == START_UNIX_S
    assert reader.get_next_interval_histogram() is None
    assert first.get_tag() == "POST%20/invocation%2C%20100%25"
    assert (first.get_total_count(), first.get_value_at_percentile(50)) == (3, 500)
    assert (first.get_start_time_stamp(), first.get_end_time_stamp()) == (
        START_UNIX_S * 1000,
        START_UNIX_S * 1000 + 3000,
    )
    assert (second.get_tag(), second.get_total_count()) == (None, 1)
    assert log.read_text().splitlines()[5].startswith("Tag=POST%20/invocation%2C%20100%25,0.000,3.000,90.000,HISTFAAA")


def test_our_log_comes_back_as_it_was_written() -> None:
    intervals = [
        HlogInterval("a,b %20\n c", 0.0, 3.0, histogram_of([400, 90_000])),
        HlogInterval("", 3.0, 3.0, histogram_of([])),
    ]
    start_unix_s, back = read_hlog(hlog_lines(START_UNIX_S, intervals))
    assert start_unix_s == START_UNIX_S
    assert [(line.tag, line.start_s, line.length_s) for line in back] == [("a,b %20\n c", 0, 3), ("", 3, 3)]
    assert [line.histogram.counts.tolist() for line in back] == [line.histogram.counts.tolist() for line in intervals]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0.0,3.0,HISTF", "line 1 of the histogram log is '0.0,3.0,HISTF'"),
        ("0.0,3.0,1.0,HISTF", "cannot be decoded"),
        ("0.0.0,3.0,1.0," + encode_histogram(Histogram()), "could not convert"),
        ("0.0,3.0,1.0," + encode_histogram(Histogram())[:-8], "line 1 of the histogram log"),
    ],
)
def test_a_broken_line_is_named(line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_hlog([line])


def test_a_histogram_of_other_digits_is_refused() -> None:
    theirs = hdrh_histogram.HdrHistogram(1, HIGHEST_US, 2)
    theirs.record_value(5)
    with pytest.raises(DataError, match="2 digits"):
        decode_histogram(theirs.encode().decode())
