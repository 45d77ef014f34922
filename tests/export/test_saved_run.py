"""What a run leaves can be read back: for a report made later, for comparing, by tools for HdrHistogram."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from sample_runs import NAME, make_run, save_run

from inference_swarm.cli import compare, report
from inference_swarm.errors import DataError
from inference_swarm.export.intervals import WantedRate, interval_rows, interval_table, read_interval_table
from inference_swarm.export.saved_run import merge_intervals, read_run
from inference_swarm.load.stage_text import parse_stages


def test_histograms_and_intervals_come_back_as_they_were(tmp_path: Path) -> None:
    run = make_run(intervals=4)
    saved = read_run(save_run(run, tmp_path / "run"))
    total = run.totals.total()
    assert merge_intervals(saved.latency).counts.tolist() == total.latency.counts.tolist()
    assert [row.requests for row in saved.rows] == [2000] * 4
    assert [row.rate_rps for row in saved.rows] == pytest.approx([2000 / 3] * 4, rel=1e-3)
    assert [row.users for row in saved.rows] == [20, 20, 20, 0]
    assert saved.summary["requests"] == 8000


def test_hdr_histograms_own_reader_reads_the_log(tmp_path: Path) -> None:
    run = make_run(intervals=3)
    folder = save_run(run, tmp_path / "run")
    reader = HistogramLogReader(str(folder / "latency.hlog"), HdrHistogram(1, 600_000_000, 3))
    count, tags = 0, set()
    while (histogram := reader.get_next_interval_histogram()) is not None:
        count += histogram.get_total_count()
        tags.add(histogram.get_tag())
    assert count == 6000
    assert tags == {NAME.replace(" ", "%20")}


def test_an_empty_cell_is_nothing_measured() -> None:
    rows = interval_rows(make_run(intervals=1, per_interval=0).totals.series)
    again = read_interval_table(interval_table(rows))
    assert again[0].p50_us != again[0].p50_us
    assert again[0].requests == 0


def test_the_wanted_rate_of_an_open_load_is_that_of_the_time_that_counts() -> None:
    series = make_run(intervals=3, per_interval=30, workers=1).totals.series
    rate = parse_stages("4s@100,4s@100..200")
    rows = interval_rows(series, WantedRate(rate, 1.5, 8.0))
    # 0-3 s: from 1.5 s on; 3-6 s: 1 s at 100, then 2 s from 100 to 150; 6-9 s: 2 s from 150 to 200, the run is over
    assert [row.wanted_rps for row in rows] == pytest.approx([100, 350 / 3, 175])
    assert "nan" not in interval_table(rows)
    assert [row.wanted_rps for row in read_interval_table(interval_table(rows))] == pytest.approx(
        [100, 350 / 3, 175], abs=1e-3
    )
    assert all(math.isnan(row.wanted_rps) for row in interval_rows(series))


def test_intervals_after_the_end_of_the_load_are_left_out() -> None:
    run = make_run(intervals=2)
    series = run.totals.series
    from inference_swarm.measure.snapshot import Slice

    series.add("worker-0", 0, Slice(9.0, 9.0))
    assert len(series) == 3
    assert len(interval_rows(series)) == 2


def test_a_folder_that_holds_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"summary\.json does not exist"):
        read_run(tmp_path)
    folder = save_run(make_run(intervals=1), tmp_path / "run")
    (folder / "latency.hlog").write_text("Tag=x,1,2,3,AAAA\n")
    with pytest.raises(DataError, match="line 1 of the histogram log"):
        read_run(folder)
    (folder / "summary.json").write_text('{"version": 1}')
    with pytest.raises(DataError, match=r"summary\.json is of version 1"):
        read_run(folder)
    (folder / "summary.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_run(folder)


@pytest.mark.parametrize("field", ["duration_s", "requests", "run", "by_worker", "started_at"])
@pytest.mark.parametrize("value", [None, "text"])
def test_what_was_edited_by_hand_is_said_with_its_folder(
    field: str, value: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = save_run(make_run(intervals=8), tmp_path / "other")
    folder = save_run(make_run(intervals=8), tmp_path / "edited")
    assert [report.main([str(folder)]), compare.main([str(folder), str(other)])] == [0, 0]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if value is None:
        del summary[field]
    else:
        summary[field] = value
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    codes = [report.main([str(folder)]), compare.main([str(folder), str(other)])]
    assert set(codes) <= {0, 2}
    assert any(codes) or value == "text"
    assert capsys.readouterr().err.count(str(folder)) == sum(map(bool, codes))
