"""Real masters and workers against real servers: totals, parts of the data, modes of running."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import ROOT, Swarm, free_port, wait_until

pytestmark = pytest.mark.processes


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """300 distinct rows."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(300)), "word": [f"w{n}" for n in range(300)]}), path)
    return path


def sent_rows(recording: Recording) -> list[int]:
    return [json.loads(body)["n"] for body in recording.bodies]


def test_two_workers_send_disjoint_parts_that_are_complete_and_all_is_counted(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.finds_owners = True
    master = swarm.start_master(
        "--host", recording.url, "--data", str(rows), "--row-order", "sequential", "-u", "8", "-r", "100", "-t", "2s",
        "--dataset-name", "d", "--model", "m", "--pred-method", "predict", workers=2,
    )  # fmt: skip
    pids = [swarm.start_worker(number).pid for number in (1, 2)]
    assert master.wait(60) == 0, swarm.log("master")
    by_worker = recording.rows_by_process(pids)
    parts = [{json.loads(body)["n"] for body in by_worker[pid]} for pid in pids]
    assert parts[0].isdisjoint(parts[1])
    assert parts[0] | parts[1] == set(range(300))
    assert abs(len(parts[0]) - len(parts[1])) <= 16
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["failures"] == 0
    assert summary["workers"] == 2
    assert summary["complete"] is True
    assert sum(worker["sent"] for worker in summary["by_worker"].values()) == recording.count
    assert set(recording.targets) == {"/invocation?method=predict&dataset=d&model=m"}


@pytest.mark.parametrize("order", ["random", "sequential", "shuffle"])
def test_every_order_sends_batches_and_the_smaller_ones_end_an_epoch(
    swarm: Swarm, recording: Recording, rows: Path, order: str
) -> None:
    recording.answer = lambda body: answer_bytes(400) if b"[299," in body else answer_bytes()
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "2",
        "-r", "100", "-t", "2s", "--processes", "0", "--row-order", order, "--batch-size", "32",
        "--body-format", "split",
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    bodies = [json.loads(body) for body in recording.bodies]
    assert all(body["columns"] == ["n", "word"] for body in bodies)
    batches = [[row[0] for row in body["data"]] for body in bodies]
    assert {len(batch) for batch in batches} == ({32} if order == "random" else {32, 300 % 32})
    assert {row for batch in batches for row in batch} == set(range(300))
    summary = swarm.summary()
    assert summary["rows"] == sum(map(len, batches))
    assert summary["rows_per_s"] > 20 * summary["rate_rps"] > 0
    (failed,) = summary["failed"]
    assert failed["rows"] in batches
    assert 299 in failed["rows"]
    assert failed["row_count"] == len(failed["rows"])


def test_the_result_files_agree_with_each_other(swarm: Swarm, recording: Recording, rows: Path) -> None:
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "4",
        "-r", "100", "-t", "1s", "--processes", "2", "--master-bind-port", str(swarm.master_port),
        "--master-port", str(swarm.master_port), "--run-name", "mine", "--dataset-name", "d",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = swarm.summary()
    folder = swarm.results / "runs" / "mine"
    assert summary["run"] == "mine"
    assert summary["requests"] == recording.count > 0
    assert summary["duration_s"] == pytest.approx(1, abs=1)
    in_time = recording.count - summary["ended_after_load"]
    assert summary["rate_rps"] == pytest.approx(in_time / summary["duration_s"], rel=1e-3)
    latency = summary["latency_us"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["p99_99"] <= latency["max"]
    with (folder / "locust_stats.csv").open() as file:
        aggregated = list(csv.DictReader(file))[-1]
    assert int(aggregated["Request Count"]) == recording.count
    assert "<html" in (folder / "locust.html").read_text(encoding="utf-8")[:500].lower()
    with (swarm.results / "run_table.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["run"] == "mine"
    assert int(row["requests"]) == recording.count
    assert float(row["p99_us"]) == latency["p99"]
    assert row["workers"] == "2"


def test_a_single_process_counts_every_request(swarm: Swarm, recording: Recording, rows: Path) -> None:
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "3",
        "-r", "100", "-t", "1s", "--processes", "0",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert swarm.summary()["requests"] == recording.count > 0
    assert set(sent_rows(recording)) <= set(range(300))


def test_wait_times_apply(swarm: Swarm, recording: Recording, rows: Path) -> None:
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "2",
        "-r", "100", "-t", "2s", "--processes", "0", "--wait-min", "0.4", "--wait-max", "0.4",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert 6 <= recording.count <= 12  # two users, a request every 0.4 s, for 2 s; fewer on a busy machine


def test_requests_in_flight_at_the_end_are_counted(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.7
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "5",
        "-r", "100", "-t", "2s", "--processes", "0", "--stop-timeout", "5",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    summary = swarm.summary()
    assert summary["requests"] == recording.count > 0
    assert summary["failures"] == 0


def test_the_web_ui_starts_a_run_with_what_its_form_says(swarm: Swarm, recording: Recording, rows: Path) -> None:
    web_port = free_port()
    swarm.start(
        "master", "--processes", "2", "--web-host", "127.0.0.1", "--web-port", str(web_port),
        "--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port),
        "--data", str(rows), "--results", str(swarm.results), "--model", "before",
    )  # fmt: skip
    base = f"http://127.0.0.1:{web_port}"

    def post(path: str, **form: str) -> dict[str, object]:
        data = "&".join(f"{key}={value}" for key, value in form.items()).encode()
        with urllib.request.urlopen(f"{base}{path}", data=data, timeout=10) as response:
            document: dict[str, object] = json.load(response)
            return document

    wait_until(lambda: "2 workers connected" in swarm.log("master"), 30, "two workers")
    response = post("/swarm", user_count="6", spawn_rate="100", host=recording.url, model="after", wait_max_s="0.01")
    assert response["success"] is True
    wait_until(lambda: recording.count > 50, 30, "requests")
    post("/stop")
    wait_until(lambda: (swarm.results / "run_table.csv").exists(), 30, "the results")
    wait_until(lambda: bool(list(swarm.results.glob("runs/*/locust.html"))), 10, "the HTML")
    summary = swarm.summary()
    assert summary["requests"] == recording.count
    assert summary["model"] == "after"
    assert summary["users"] == 6
    assert summary["settings"]["model"] == {"value": "after", "source": "start form"}
    assert set(recording.targets) == {"/invocation?model=after"}


@contextmanager
def serving(results: Path, *train_arguments: str) -> Iterator[str]:
    """Trains with these arguments, then serves what was trained; the server's address."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "server.train", "--results", str(results), *train_arguments],
        env=environment,
        check=True,
        capture_output=True,
        cwd=results.parent,
    )
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "server.serve", "--port", str(port), "--models", str(results / "models")],
        env=environment,
        cwd=results.parent,
        stderr=subprocess.DEVNULL,
    )

    def is_up() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    try:
        wait_until(is_up, 30, "the inference server")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def check_against_server(swarm: Swarm, url: str, dataset: str, model: str) -> None:
    """A master and two workers, both methods: no failure, and the server counted what the swarm counted."""
    for method in ("predict", "predict_proba"):
        swarm.processes.clear()
        master = swarm.start_master(
            "--host", url, "--dataset-name", dataset, "--model", model, "--pred-method", method, "--check-answer",
            "-u", "10", "-r", "100", "-t", "2s", "--run-name", method, workers=2,
        )  # fmt: skip
        for number in (1, 2):
            swarm.start_worker(number)
        assert master.wait(60) == 0, swarm.log("master")
    with urllib.request.urlopen(f"{url}/stats", timeout=5) as response:
        counted = json.load(response)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in swarm.run_folders()]
    assert [summary["failures"] for summary in summaries] == [0, 0]
    probes = len(summaries)  # one before each run, in no number of it
    assert counted["answered"] - probes == sum(summary["requests"] for summary in summaries) > 0
    assert counted["by_status"] == {"200": counted["answered"]}


def test_the_swarm_and_the_real_server_count_the_same(swarm: Swarm) -> None:
    name = "healthcare-dataset-stroke"
    with serving(swarm.results, "--dataset", name, "--model", "lgbm", "--rows", "400") as url:
        check_against_server(swarm, url, name, "lgbm")


def test_answers_of_the_real_servers_twelve_models_stay_right_and_are_as_accurate_as_in_training(swarm: Swarm) -> None:
    with serving(swarm.results, "--rows", "500") as url:
        trained = trained_metrics(swarm.results)
        assert len(trained) == 12
        for (dataset, model), metrics in trained.items():
            check_answers(swarm, url, dataset, model, metrics)


def check_answers(swarm: Swarm, url: str, dataset: str, model: str, metrics: dict[str, str]) -> None:
    """Record the answers of a model in calm, expect them under load, and compare its quality with that of training."""
    answers = swarm.folder / f"{dataset}_{model}.parquet"
    labels = pq.read_schema(swarm.results / "splits" / dataset / "y_test.parquet")
    is_numbered = pa.types.is_integer(labels.types[0])  # no response says whose the probabilities of named classes are
    method = "predict_proba" if is_numbered else "predict"
    summaries = []
    for number, more in enumerate(
        (
            ("--record-answers", str(answers), "--slo", "accuracy>0.01"),
            ("--expect-answers", str(answers), "-u", "20", "-r", "1000", "--requests", "400"),
        )
    ):
        name = f"{dataset}_{model}_{number}"
        done = swarm.run(
            "--headless", "--processes", "0", "--results", str(swarm.results), "--run-name", name, "--host", url,
            "--dataset-name", dataset, "--model", model, "--pred-method", method, *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        summaries.append(swarm.read_summary(swarm.results / "runs" / name))
    recorded, loaded = summaries
    found, quality = loaded["answers"], recorded["answers"]["quality"]
    assert (found["wrong"], found["unreadable"], loaded["failures"]) == (0, 0, 0), name
    assert found["rows"] == loaded["requests"] == 400, name
    rows = int(metrics["test_rows"])
    assert rows == quality["labelled"] == recorded["requests"] == len(pq.read_table(answers)), name
    assert quality["correct"] == round(float(metrics["accuracy"]) * rows), name  # of fewer than 10,000 rows
    assert quality["accuracy"] == pytest.approx(quality["correct"] / rows, abs=1e-9)
    if is_numbered:
        assert quality["auc"] == pytest.approx(float(metrics["roc_auc"]), abs=1e-4 + quality["auc_error"]), name


def trained_metrics(results: Path) -> dict[tuple[str, str], dict[str, str]]:
    """What training has measured of each model, by dataset and model."""
    with (results / "metrics" / "all_metrics.csv").open(encoding="utf-8") as file:
        return {(row["dataset"], row["model"]): row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("file", "target", "dropped", "model"),
    [
        ("healthcare-dataset-stroke-data.csv", "stroke", "id", "catboost"),
        ("UNSW_NB15_testing-set.csv", "label", "id,attack_cat", "xgboost"),
    ],
)
def test_public_data_is_trained_on_served_and_sent(
    swarm: Swarm, file: str, target: str, dropped: str, model: str
) -> None:
    path = ROOT.parent / "shared" / "data" / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with serving(
        swarm.results, "--data", str(path), "--target", target, "--drop-cols", dropped, "--name", "real"
    ) as url:
        check_against_server(swarm, url, "real", model)
