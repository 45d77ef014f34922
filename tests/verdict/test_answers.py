"""Servers whose answers go wrong under load, by the real command: what the result says of them, and the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answering_server import Answering, answering_server, score_of
from swarm_processes import Swarm, wait_until

pytestmark = pytest.mark.processes

ROWS = 600


@pytest.fixture
def server() -> Any:
    with answering_server() as answering:
        yield answering


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": range(ROWS), "x": [row / 7 for row in range(ROWS)]}), path, row_group_size=200)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Those of the server's model, but for each tenth row."""
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"y": [label_of(row) for row in range(ROWS)]}), path)
    return path


def label_of(row: int) -> int:
    return int(score_of(row) > 0.5) ^ (row % 10 == 0)


def run(swarm: Swarm, server: Answering, rows: Path, name: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """A run in one process unless `--processes` says otherwise: its summary, and what it said on the terminal."""
    processes = () if "--processes" in arguments else ("--processes", "0")
    done = swarm.run(
        "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results), "--run-name", name,
        *processes, *arguments,
    )  # fmt: skip
    folder = swarm.results / "runs" / name
    assert folder.is_dir(), done.stderr
    summary = swarm.read_summary(folder)
    assert done.returncode == summary["exit_code"], done.stderr
    return summary, done.stderr


def record(swarm: Swarm, server: Answering, rows: Path, *arguments: str) -> Path:
    """Record the answers to all rows, and return the file."""
    path = swarm.folder / "kept" / "answers.parquet"
    summary, said = run(
        swarm, server, rows, "record", "--record-answers", str(path), "-u", "50", "-t", "1s", *arguments
    )
    assert (summary["requests"], summary["exit_code"]) == (ROWS, 0), said
    assert f"{ROWS} answers were written to {path}" in said
    assert pq.read_table(path).to_pydict() == {"row": [*range(ROWS)], "answer": [*map(server.predict, range(ROWS))]}
    assert len(server.log) == ROWS  # each row once
    server.log.clear()
    return path


def test_answers_swapped_under_load_are_found_and_called_so(swarm: Swarm, server: Answering, rows: Path) -> None:
    answers = record(swarm, server, rows)
    server.swap_from, server.swap_every = 20, 1000
    calm, _ = run(swarm, server, rows, "calm", "--expect-answers", str(answers), "-u", "4", "-r", "10", "-t", "2s")
    assert (calm["exit_code"], calm["answers"]["wrong"], server.swapped) == (0, 0, [])
    assert calm["answers"]["rows"] == calm["requests"] == len(server.log)

    server.log.clear()
    loaded, said = run(
        swarm, server, rows, "loaded", "--expect-answers", str(answers), "-u", "40", "-r", "400", "-t", "4s"
    )
    wrong = 2 * len(server.swapped)
    assert wrong >= 2
    found = loaded["answers"]
    assert (found["wrong"], found["examined"], found["swapped"]) == (
        wrong,
        wrong,
        wrong,
    )
    assert loaded["errors"] == {"answer": wrong}
    assert [failure["error"] for failure in loaded["failed"]] == ["answer: the answer of another row (swapped)"]
    assert (loaded["verdict"], loaded["exit_code"]) == ("requests failed", 1)
    pairs = {pair for swapped in server.swapped for pair in (swapped, swapped[::-1])}
    for example in found["examples"]:
        assert (example["row"], example["other_row"]) in pairs
        assert float(example["expected"]) == score_of(example["row"])
        assert float(example["got"]) == score_of(example["other_row"])
        assert f'"id":{example["row"]},' in example["body"]
    assert found["begins"]["in_flight"] > 4
    assert "another row's right one (swapped)" in said
    report = (swarm.results / "runs" / "loaded" / "report.html").read_text(encoding="utf-8")
    assert "First wrong answers" in report


def test_a_sample_finds_what_all_find_at_its_share(swarm: Swarm, server: Answering, rows: Path) -> None:
    answers = record(swarm, server, rows)
    server.predict = lambda row: score_of(row) + (row % 2)  # half of all rows
    summary, said = run(
        swarm, server, rows, "sampled", "--expect-answers", str(answers), "--answer-sample", "20%",
        "-u", "8", "-r", "100", "-t", "3s",
    )  # fmt: skip
    found, requests = summary["answers"], summary["requests"]
    assert found["share"] == 0.2
    assert 0.1 * requests < found["requests"] < 0.3 * requests
    assert 0.3 * found["rows"] < found["wrong"] == summary["errors"]["answer"] < 0.7 * found["rows"]
    assert "of a sample of 20 % looked at" in said


def test_a_server_that_falls_back_to_a_constant_under_load_loses_its_accuracy_there(
    swarm: Swarm, server: Answering, rows: Path, labels: Path
) -> None:
    server.constant_above_rps, server.constant = 200, 0.1
    summary, said = run(
        swarm, server, rows, "constant", "--labels", str(labels), "--slo", "accuracy>0.85", "-u", "30",
        "--arrival", "constant", "--stages", "5s@60, 5s@600",
    )  # fmt: skip
    calm, loaded = summary["answers"]["over_load"]
    assert (calm["load"], loaded["load"]) == ("stage 1", "stage 2")
    assert calm["accuracy"] == pytest.approx(0.9, abs=0.06)
    assert loaded["accuracy"] < 0.75
    (objective,) = summary["objectives"]
    assert (objective["outcome"], summary["verdict"], summary["exit_code"]) == ("fail", "objective missed", 3)
    assert objective["measured"] == pytest.approx(accuracy_of(server), abs=0.01)
    assert "accuracy>0.85: measured 0." in said


def accuracy_of(server: Answering) -> float:
    """As anybody would compute it from the server's own log."""
    return sum((score > 0.5) == bool(label_of(row)) for row, score in server.log) / len(server.log)


@pytest.mark.timeout(400)
def test_accuracy_is_exact_with_one_worker_and_with_four_whose_shards_move(
    swarm: Swarm, server: Answering, rows: Path, labels: Path
) -> None:
    common = ("--labels", str(labels), "--row-order", "shuffle", "-u", "12", "-r", "100", "--slo", "accuracy>0.5")
    check_exact(run(swarm, server, rows, "one", "-t", "3s", *common)[0], server)

    server.log.clear()
    master = swarm.start_master(
        "--host", server.url, "--data", str(rows), "--run-name", "four", "-t", "14s", *common, workers=3
    )
    for number in range(3):
        swarm.start_worker(number)
    wait_until(lambda: len(server.log) > 200, 30, "requests of three workers")
    swarm.start_worker(3)
    wait_until(lambda: "4 workers connected" in swarm.log("master"), 30, "a fourth worker")
    swarm.processes["worker-0"].terminate()
    wait_until(lambda: master.poll() is not None, 60, "the end of the run")
    summary = swarm.read_summary(swarm.results / "runs" / "four")
    assert (summary["workers"], summary["complete"], summary["exit_code"]) == (4, True, 0), swarm.log("master")
    check_exact(summary, server)


def check_exact(summary: dict[str, Any], server: Answering) -> None:
    quality = summary["answers"]["quality"]
    assert summary["answers"]["rows"] == quality["labelled"] == summary["requests"] == len(server.log)
    assert quality["accuracy"] == round(accuracy_of(server), 12)
    assert summary["objectives"][0]["measured"] == round(accuracy_of(server), 9)


def test_a_row_that_gets_another_answer_the_second_time_is_found_without_any_file(
    swarm: Swarm, server: Answering, rows: Path
) -> None:
    asked: set[int] = set()

    def predict(row: int) -> float:
        is_first = row not in asked
        asked.add(row)
        return score_of(row) if is_first or row % 50 else 0.123456

    server.predict = predict
    summary, said = run(
        swarm, server, rows, "consistent", "--check-answer", "consistent", "--no-probe", "--row-order", "sequential",
        "-u", "6", "-r", "100", "-t", "4s",
    )  # fmt: skip
    again = sum(1 for row, answer in server.log if answer == 0.123456)
    assert again > 0
    assert summary["errors"] == {"answer": again}
    assert {example["row"] % 50 for example in summary["answers"]["examples"]} == {0}
    assert "other than the first one to its row" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "other"), "--model: none recorded, other now"),
        (("--drop-columns", "x"), "columns that are sent: id, x recorded, id now"),
    ],
)
def test_a_file_that_was_recorded_of_something_else_is_refused_before_a_request(
    swarm: Swarm, server: Answering, rows: Path, arguments: tuple[str, ...], said: str
) -> None:
    answers = record(swarm, server, rows)
    done = swarm.run(
        "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
        "-t", "1s", "--expect-answers", str(answers), *arguments,
    )  # fmt: skip
    assert done.returncode == 2
    assert "was recorded of something else" in done.stderr
    assert said in done.stderr
    assert server.log == []


def test_a_server_that_answers_with_errors_alone_is_not_passed_because_of_its_status(
    swarm: Swarm, server: Answering, rows: Path, labels: Path
) -> None:
    server.predict = lambda row: {"error": "model not loaded"}
    summary, said = run(swarm, server, rows, "errors", "--labels", str(labels), "--no-probe", "-u", "4", "-t", "1s")
    assert summary["succeeded"] == summary["requests"] == summary["answers"]["unreadable"] > 0
    assert (summary["verdict"], summary["exit_code"]) == ("incomplete", 4)
    assert "looked at, and none held a prediction for each row" in said
    summary, _ = run(
        swarm, server, rows, "again", "--check-answer", "consistent", "--no-probe", "-u", "4", "-t", "1s"
    )  # fmt: skip
    assert (summary["verdict"], summary["exit_code"]) == ("requests failed", 1)
    looked_at = summary["answers"]["sentences"][0]
    assert (
        looked_at
        == f"{summary['requests']:,} answers looked at ({summary['requests']:,} of them could not be compared)"
    )


def test_an_objective_on_quality_without_labels_is_refused(swarm: Swarm, server: Answering, rows: Path) -> None:
    done = swarm.run(
        "--headless", "--host", server.url, "--data", str(rows), "--results", str(swarm.results), "--processes", "0",
        "-t", "1s", "--slo", "rmse<4.1",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--slo has 'rmse<4.1' and the data have no labels" in done.stderr
    assert "--labels or --label-column" in done.stderr
