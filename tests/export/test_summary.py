"""summary.json: verdict, objectives, arrivals and the generator's marks."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from sample_runs import make_run

from inference_swarm.export.run_folder import run_folder_name
from inference_swarm.export.run_table import RUN_TABLE_COLUMNS, append_to_run_table, run_table_row
from inference_swarm.export.stage_table import stage_cells, stage_csv
from inference_swarm.export.summary import DataRecord, build_summary
from inference_swarm.measure.snapshot import WorkerHealth


def test_verdict_objectives_and_measured_values_stand_side_by_side() -> None:
    summary = build_summary(make_run(slo=("p99<1ms", "rate>=1", "p99.99<1s")))
    assert (summary["verdict"], summary["exit_code"]) == ("objective missed", 3)
    missed, met, thin = summary["objectives"]
    assert (missed["outcome"], missed["bound"]) == ("fail", 1000.0)
    assert missed["measured"] == summary["latency_us"]["p99"]
    assert (met["outcome"], round(met["measured"], 3)) == ("pass", summary["rate_rps"])
    assert (thin["outcome"], thin["samples"], thin["samples_needed"]) == ("incomplete", 20_000, 66_381)


def test_what_was_not_measured_is_null_and_the_document_is_json() -> None:
    summary = build_summary(make_run(slo=("p99{POST /none}<1ms",)))
    assert summary["objectives"][0]["measured"] is None
    json.dumps(summary, allow_nan=False)
    assert "request_bytes" not in summary  # nobody counts them


def test_an_open_loads_arrivals_are_accounted_for() -> None:
    summary = build_summary(make_run(arrivals=(20_100, 670.0), arrival="constant", rate_rps=670.0))
    assert summary["arrivals"] == {
        "wanted": 20_100, "wanted_rps": 670.0, "sent": 20_000, "late": 0, "dropped": 0, "abandoned": 0,
        "unaccounted": 100,
    }  # fmt: skip
    assert summary["error_rate"] == round(100 / 20_100, 9)
    assert (summary["verdict"], summary["exit_code"]) == ("incomplete", 4)
    assert build_summary(make_run())["arrivals"] is None


def test_a_run_that_the_generator_bound_is_marked() -> None:
    summary = build_summary(make_run(health=WorkerHealth(cpu_percent=99.0)))
    assert summary["generator_bound"] is True
    assert (summary["verdict"], summary["tone"], summary["exit_code"]) == ("generator-bound", "warn", 0)
    assert "used 99 % of a core" in summary["self_check"][0]["sentence"]
    assert summary["by_worker"]["worker-0"]["worst"]["cpu_percent"] == 99.0


def test_failures_are_listed_by_kind_and_by_text_with_when_they_came_and_an_example() -> None:
    summary = build_summary(make_run(failed=1, failure_text="status: 404 Not Found", explanation="no such model"))
    assert summary["errors"] == {"status": 20}
    assert summary["failed"] == [
        {
            "error": "status: 404 Not Found", "kind": "status", "status": 500, "count": 20, "first_s": 0.0,
            "last_s": 29.9, "explanation": "no such model", "rows": [17], "row_count": 1,
        }
    ]  # fmt: skip
    assert (summary["verdict"], summary["exit_code"]) == ("requests failed", 1)
    assert summary["reasons"] == ["20 of 20,000 requests failed"]


def test_failures_are_in_no_time_of_successes() -> None:
    summary = build_summary(make_run(failed=400))
    assert (summary["requests"], summary["succeeded"], summary["failures"]) == (20_000, 12_000, 8000)
    assert summary["error_rate"] == 0.4
    assert summary["rate_rps"] == pytest.approx(20_000 / 30, abs=0.001)
    assert summary["goodput_rps"] == pytest.approx(12_000 / 30, abs=0.001)
    assert summary["failed_latency_us"]["p50"] is not None


def test_rows_have_their_own_rate() -> None:
    summary = build_summary(make_run(failed=400, batch_size=32))
    assert (summary["requests"], summary["rows"]) == (20_000, 640_000)
    assert summary["rows_per_s"] == pytest.approx(32 * 20_000 / 30, abs=0.001)
    assert summary["names"]["POST /invocation"]["rows_per_s"] == summary["rows_per_s"]
    row = run_table_row(summary)
    assert (row["rows"], row["rows_per_s"], row["batch_size"]) == (640_000, summary["rows_per_s"], 32)
    single = build_summary(make_run())
    assert (single["rows"], single["rows_per_s"]) == (single["requests"], single["rate_rps"])


def test_abandoned_requests_are_said_and_fail_the_run() -> None:
    summary = build_summary(make_run(abandoned=2))
    assert summary["abandoned"] == 4
    assert summary["error_rate"] == round(4 / 20_004, 9)
    assert summary["by_worker"]["worker-0"]["abandoned"] == 2
    assert (summary["verdict"], summary["exit_code"]) == ("requests failed", 1)


def test_a_warm_up_is_shown_and_left_out() -> None:
    summary = build_summary(make_run(warm_up_s=10.0))
    assert (summary["requests"], summary["duration_s"], summary["measured_s"]) == (20_000, 40.0, 30.0)
    assert summary["left_out"] == {
        "until_s": 10.0, "requests": 123, "failures": 0, "abandoned": 0, "dropped": 0,
        "latency_us": dict.fromkeys(summary["latency_us"]),
    }  # fmt: skip
    assert build_summary(make_run())["left_out"] is None


def test_a_missed_objective_is_a_reason() -> None:
    summary = build_summary(make_run(slo=("max<1us",)))
    assert summary["reasons"][0].startswith("max<1us: fail, measured ")


def test_the_run_table_has_verdict_time_and_wanted_rate() -> None:
    run = make_run(
        dataset_name="d", model="m", pred_method="predict", arrivals=(20_100, 670.0), arrival="constant", rate_rps=670.0
    )
    row = run_table_row(build_summary(run))
    assert tuple(row) == RUN_TABLE_COLUMNS
    assert (row["verdict"], row["exit_code"], row["wanted_rps"], row["duration_s"], row["unaccounted"]) == (
        "incomplete", 4, 670.0, 30.0, 100,
    )  # fmt: skip


def _append_two(results: Path) -> list[dict[str, str]]:
    for name in ("one", "two"):
        append_to_run_table(results, run_table_row(build_summary(make_run(name=name, intervals=1))))
    with (results / "run_table.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "table",
    [
        b"run,requests,gone\nold\xc3\xa9,5,x\n",
        b"run,requests,gone\nold\xc3\xa9,5,x",
        b"\xef\xbb\xbfrun,requests,gone\r\nold\xc3\xa9,5,x\r\n",
        b"run;requests;gone\r\nold\xe9;5;x\r\n",
        b"run\trequests\tgone\nold\xc3\xa9\t5\tx\n\n",
        b"\r\nrun,requests,gone\r\nold\xc3\xa9,5,x\r\n",
    ],
    ids=["older_release", "no_last_newline", "byte_order_mark", "code_page_with_semicolons", "tabs", "blank_line"],
)
def test_a_run_table_of_others_keeps_its_lines_and_columns(tmp_path: Path, table: bytes) -> None:
    (tmp_path / "run_table.csv").write_bytes(table)
    assert [(row["run"], row["requests"], row["verdict"], row["gone"]) for row in _append_two(tmp_path)] == [
        ("oldé", "5", "", "x"), ("one", "2000", "passed", ""), ("two", "2000", "passed", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_table_of_this_release_that_a_spreadsheet_has_saved_goes_on(tmp_path: Path, delimiter: str) -> None:
    cells = [f"c{number}" for number in range(len(RUN_TABLE_COLUMNS))]
    lines = [[*RUN_TABLE_COLUMNS, "note", "note"], [*cells, "first", "second", "beyond"], [*cells, "only"]]
    (tmp_path / "run_table.csv").write_text("".join(delimiter.join(line) + "\n" for line in lines), encoding="utf-8")
    _append_two(tmp_path)
    with (tmp_path / "run_table.csv").open(newline="", encoding="utf-8") as file:
        header, first, second, *runs = csv.reader(file)
    assert header[: len(cells) + 2] == lines[0]
    assert first == lines[1]
    assert [cell for cell in second if cell] == lines[2]
    assert [run[0] for run in runs] == ["one", "two"]
    assert {len(run) for run in runs} == {len(header)}


def test_what_is_no_table_is_put_aside(tmp_path: Path) -> None:
    for number in (1, 2):
        text = 'run,requests\n"' + "x" * 200_000
        (tmp_path / "run_table.csv").write_text(text, encoding="utf-8")
        assert [row["run"] for row in _append_two(tmp_path)] == ["one", "two"]
        assert (tmp_path / f"run_table.csv.{number}").read_text(encoding="utf-8") == text


def test_a_line_is_added_below_one_that_somebody_cut_the_end_from(tmp_path: Path) -> None:
    _append_two(tmp_path)
    table = tmp_path / "run_table.csv"
    table.write_bytes(table.read_bytes().rstrip())
    assert [row["run"] for row in _append_two(tmp_path)] == ["one", "two", "one", "two"]


def test_a_run_is_named_after_the_data_that_it_sent_and_not_after_a_query_parameter() -> None:
    run = replace(make_run(dataset_name="d"), data=DataRecord("/in/mine.parquet", 3, 1, "f00d"))
    assert build_summary(run)["dataset"] == "mine"
    assert run_folder_name("20260102-030405", "mine", "xgb/2") == "20260102-030405_mine_xgb-2"
    assert run_folder_name("20260102-030405", "", "") == "20260102-030405_data"


def test_each_stage_is_there_with_what_it_wanted_and_achieved() -> None:
    run = make_run(arrivals=(20_000, 666.0), arrival="constant", stages="12s@600,18s@600..733", slo=("p99<1s",))
    first, second = build_summary(run)["stages"]
    assert (first["requests"], second["requests"]) == (8000, 12_000)
    assert (first["wanted_first"], first["wanted_last"], first["wanted_is"]) == (600, 600, "rate")
    assert (second["start_s"], second["end_s"], second["wanted_last"]) == (12.0, 30.0, 733)
    assert stage_cells(second)[:4] == ["2", "12 s", "30 s", "600 … 733/s"]
    table = list(csv.DictReader(io.StringIO(stage_csv([first, second]))))
    assert [row["verdict"] for row in table] == [first["verdict"], second["verdict"]]
    assert table[0]["p50_us"] == str(first["latency_us"]["p50"])
