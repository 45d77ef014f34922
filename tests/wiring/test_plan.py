"""Settings of load and objectives: what is refused at start, and what a run makes of them."""

from __future__ import annotations

import csv
import re
import subprocess
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


def refuse(swarm: Swarm, *arguments: str) -> str:
    result = swarm.run("--headless", "-t", "1s", "--processes", "0", "--host", "http://127.0.0.1:1", *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--slo", "p99<50"], ["--slo: objective 'p99<50'", "has no unit", "us, µs, ms or s"]),
        (["--slo", "p99<50ms", "--slo", "p999<50ms"], ["p999 is not a percentile", "did you mean p99.9?"]),
        (["--slo", "p99<50ms; eror_rate<1%"], ["'eror_rate' is not a metric", "did you mean error_rate?"]),
        (["--arrival", "constant"], ["--arrival is constant and there is no rate", "--rate or --stages"]),
        (["--rate", "5"], ["--rate is 5 and --arrival is closed", "--arrival constant"]),
        (["--arrival", "poisson", "--rate", "-1"], ["argument --rate", "a number above 0"]),
        (["--arrival", "poisson", "--rate", "5", "--stages", "1s@5"], ["--rate is 5 and --stages is given too"]),
        (["--arrival", "gamma", "--rate", "5", "--burstiness", "0"], ["argument --burstiness", "from 0.01 to 1,000"]),
        (["--burstiness", "0.5"], ["--burstiness is 0.5 and --arrival is closed", "add --arrival gamma"]),
        (["--requests", "0"], ["argument --requests", "a whole number of at least 1"]),
        (["--requests", "10", "--row-order", "once"], ["--requests is 10 and --row-order is once"]),
        (["--max-in-flight", "5"], ["--max-in-flight is 5 and --arrival is closed"]),
        (["--stages", "fast"], ["--stages is 'fast'", "not a readable file"]),
        (["--stages", "1s@5,x@3"], ["stage 'x@3'", "a time above 0"]),
        (["--stages", "1s@0"], ["every stage", "has the value 0"]),
        (["--stages", "1s@5,1s@1000001"], ["--stages has up to 1e+06 users", "at most 1,000,000"]),
        (["--arrival", "constant", "--stages", "1s@1e8"], ["--stages"]),
        (["--arrival", "open"], ["--arrival"]),
        (["--arrival", "trace"], ["--arrival is trace and --time-column is not set", "give --time-column"]),
        (["--trace-format", "inference-table"], ["--trace-format is given and --arrival is closed", "add --arrival"]),
        (
            ["--arrival", "trace", "--trace-format", "inference-table", "--fill-null", "a=0", "--label-column", "y"],
            [
                "3 problems with the settings",
                "--trace-format is inference-table and --data is not set",
                "--fill-null is given",
                "bodies are sent as they were recorded",
                "--label-column is given",
                "a record is a request, which may have any number of rows",
            ],
        ),
        (
            [
                *(
                    "--arrival",
                    "trace",
                    "--trace-format",
                    "sagemaker-data-capture",
                    "--data",
                    "a",
                    "--time-column",
                    "t",
                ),
                *("--header", "content-type: text/csv"),
            ],
            ["2 problems with the settings", "inferenceTime", "the content type that was recorded"],
        ),
        (["--time-column", "ts"], ["--time-column is given and --arrival is closed", "add --arrival trace"]),
        (["--speed", "2", "--loop"], ["2 problems with the settings", "--speed is given", "--loop is given"]),
        (
            ["--arrival", "trace", "--time-column", "ts", "--rate", "5", "--batch-size", "2", "--row-order", "once"],
            ["3 problems with the settings", "--rate is given", "--batch-size is given", "--row-order is given"],
        ),
        (
            ["--arrival", "trace", "--time-column", "ts", "--find-capacity", "--slo", "p99<1s"],
            ["--arrival is trace and --find-capacity is given", "a search decides the rate"],
        ),
        (["--scenario", "burst"], ["argument --scenario", "single-stream, multi-stream, server, offline"]),
        (["--scenario", "server"], ["--scenario server has no objective", 'add --slo "p99<50ms"']),
        (["--warm-up", "a while"], ["--warm-up is 'a while'", "a time like 10s"]),
        (
            ["--source-address", "127.0.0.2,eth0"],
            ["--source-address has 'eth0', which is no address", "such as 10.0.0.7,10.0.0.8"],
        ),
        (["--abort-when", "error_rate>50%"], ["--abort-when: 'error_rate>50%'", "it does not say for how long"]),
        (["--warm-up", "1s"], ["--warm-up is 1s and --run-time 1 s", "a warm-up shorter than the run"]),
    ],
)
def test_a_wrong_load_or_objective_is_refused_at_start(swarm: Swarm, arguments: list[str], words: list[str]) -> None:
    error = refuse(swarm, *arguments)
    for word in words:
        assert word in error


def test_all_problems_of_all_objectives_are_reported_at_once(swarm: Swarm) -> None:
    assert "3 problems with the settings" in refuse(swarm, "--slo", "p99<50; mean>x", "--arrival", "constant")


@pytest.fixture
def run(swarm: Swarm, recording: Recording, tmp_path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"n": list(range(100))}), tmp_path / "rows.parquet")

    def run_it(*arguments: str, host: str = "") -> subprocess.CompletedProcess[str]:
        return swarm.run(
            "--headless", "--host", host or recording.url, "--data", str(tmp_path / "rows.parquet"),
            "--results", str(swarm.results), "--processes", "0", "-u", "2", "-r", "100", "-t", "2s",
            *(("--master-bind-port", str(swarm.master_port)) if "--processes" in arguments else ()), *arguments,
        )  # fmt: skip

    return run_it


@pytest.mark.parametrize(
    ("slo", "code", "verdict"),
    # On a busy machine it is the load generator that bounds a run, which is said and is no failure.
    [("p50<2s", 0, "passed|GENERATOR-BOUND"), ("p50<1us", 3, "OBJECTIVE MISSED"), ("p99.99<2s", 4, "INCOMPLETE")],
)
def test_the_exit_code_is_the_verdict(swarm: Swarm, run: Any, slo: str, code: int, verdict: str) -> None:
    # A pause between requests: p99.99 needs more samples than there are then.
    result = run("--slo", slo, "--wait-min", "0.005", "--wait-max", "0.005")
    assert result.returncode == code, result.stderr
    assert re.search(f"^verdict    ({verdict})", result.stderr, re.MULTILINE)
    summary = swarm.summary()
    assert summary["exit_code"] == code
    assert summary["objectives"][0]["objective"] == slo
    assert (swarm.run_folders()[0] / "report.html").exists()


def test_failures_that_an_objective_allows_do_not_fail_the_run(swarm: Swarm, recording: Recording, run: Any) -> None:
    recording.answer = lambda body: answer_bytes(500 if b"7" in body else 200)
    assert run("--slo", "error_rate<100%").returncode == 0
    assert run("--run-name", "second").returncode == 1
    assert run("--run-name", "third", "--exit-code-on-error", "0").returncode == 0


def test_a_run_without_a_success_is_not_passed_whatever_its_objectives_allow(
    swarm: Swarm, recording: Recording, run: Any
) -> None:
    recording.answer = lambda _: answer_bytes(500)
    assert run("--slo", "error_rate<=100%").returncode == 4
    assert "no request succeeded" in swarm.summary()["reasons"]


def test_a_server_that_is_not_there_has_a_code_of_its_own(swarm: Swarm, run: Any) -> None:
    from swarm_processes import free_port

    result = run("--slo", "error_rate<50%", host=f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 5, result.stderr
    assert swarm.summary()["verdict"] == "target unreachable"


def test_gamma_arrivals_come_in_bursts_and_as_many_as_asked(swarm: Swarm, recording: Recording, run: Any) -> None:
    result = run("--arrival", "gamma", "--burstiness", "0.1", "--rate", "300", "-t", "3s", "-u", "50")
    assert result.returncode == 0, result.stderr
    arrivals = swarm.summary()["arrivals"]
    assert (arrivals["wanted"], arrivals["sent"], arrivals["wanted_rps"]) == (900, 900, 300.0)
    assert " at 300/s wanted (gamma arrivals), " in result.stderr
    gaps_s = [later - one for one, later in pairwise(recording.times_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    deviation_s = (sum((gap_s - mean_s) ** 2 for gap_s in gaps_s) / len(gaps_s)) ** 0.5
    # 3.2 times its mean; a Poisson process has 1.
    assert deviation_s / mean_s > 2


def test_users_follow_their_stages_and_the_run_ends_with_them(swarm: Swarm, recording: Recording, run: Any) -> None:
    stages = swarm.folder / "stages.txt"
    stages.write_text("2s@1  # warm up\n2s@6\n")
    recording.delay_s = 0.1
    result = run("--stages", str(stages))
    assert result.returncode == 0, result.stderr
    summary = swarm.summary()
    assert summary["duration_s"] == pytest.approx(4, abs=1)
    assert summary["settings"]["stages"]["value"] == "2s@1,2s@6"
    first, second = summary["stages"]
    assert (first["wanted_last"], second["wanted_last"], second["wanted_is"]) == (1, 6, "users")
    assert first["requests"] + second["requests"] == summary["requests"]
    assert first["rate_rps"] < 11 < second["rate_rps"]
    assert (swarm.run_folders()[0] / "stages.csv").read_text().startswith("stage,start_s,end_s,wanted_first")
    assert "users" in next(line for line in result.stderr.splitlines() if line.startswith("2 "))
    assert summary["requests"] == recording.count
    # One user for two seconds and then six, each a tenth of a second a request at the quickest; of those that come
    # later the first requests may be late.
    by_one_user = sum(1 for _ in takewhile(lambda peer: peer == recording.peers[0], recording.peers))
    assert 5 < by_one_user <= 30
    assert recording.connections == 6
    assert 40 < recording.count - by_one_user <= 132


def test_progress_and_verdict_stand_in_for_locusts_tables_unless_asked_for(swarm: Swarm, run: Any) -> None:
    ours = run()
    assert "Response time percentiles" not in ours.stderr + ours.stdout
    assert "\nverdict    " in ours.stderr
    theirs = run("--only-summary", "--run-name", "second")
    assert "Response time percentiles" in theirs.stderr + theirs.stdout
    assert "verdict " not in theirs.stderr


def test_a_server_that_never_answers_is_not_passed_and_its_requests_are_abandoned(
    swarm: Swarm, recording: Recording, run: Any
) -> None:
    recording.delay_s = 60.0
    result = run("--stop-timeout", "1")
    assert result.returncode == 1, result.stderr
    summary = swarm.summary()
    assert (summary["requests"], summary["abandoned"], summary["succeeded"]) == (0, recording.count, 0)
    assert summary["abandoned"] > 0
    assert summary["error_rate"] == 1.0
    assert "no request succeeded" in summary["reasons"]
    assert f"0 failed (0 %), {summary['abandoned']} abandoned" in result.stderr


def test_an_objective_on_one_request_may_name_it_as_reports_do(swarm: Swarm, run: Any) -> None:
    assert run("--slo", "p50{POST /invocation}<2s").returncode == 0
    assert run("--run-name", "second", "--slo", "p50{POST /predict}<2s").returncode == 4
    reasons = swarm.read_summary(swarm.run_folders()[-1])["reasons"]
    wanted = "(no request has the name 'POST /predict'; names of this run: /invocation)"
    assert any(reason.endswith(wanted) for reason in reasons), reasons


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_warm_up_is_sent_and_left_out_of_every_file(
    swarm: Swarm, recording: Recording, run: Any, processes: str
) -> None:
    """Locust's own table, charts and the intervals hold what the summary holds."""
    result = run("--warm-up", "1s", "-t", "3s", "--wait-min", "0.02", "--wait-max", "0.02", "--processes", processes)
    assert result.returncode == 0, result.stderr
    summary = swarm.summary()
    assert summary["requests"] + summary["left_out"]["requests"] == recording.count
    assert summary["measured_s"] == pytest.approx(2.0, abs=0.4)
    assert summary["duration_s"] == pytest.approx(3.0, abs=0.4)
    began_s = recording.times_s[0]
    in_warm_up = sum(time_s < began_s + 1.0 for time_s in recording.times_s)
    assert summary["left_out"]["requests"] == pytest.approx(in_warm_up, abs=0.35 * in_warm_up)
    assert summary["rate_rps"] == pytest.approx(summary["requests"] / 2.0, rel=0.2)
    folder = swarm.run_folders()[0]
    with (folder / "locust_stats.csv").open(newline="") as file:
        (total,) = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    assert int(total["Request Count"]) == summary["requests"]
    with (folder / "intervals.csv").open(newline="") as file:
        assert sum(int(row["requests"]) for row in csv.DictReader(file)) == summary["requests"]
    assert "left out   the first 1 s: " in result.stderr


def test_requests_that_end_after_the_load_are_counted_and_in_no_rate(
    swarm: Swarm, recording: Recording, run: Any
) -> None:
    recording.delay_s = 1.5
    assert run("-t", "1s").returncode == 0
    summary = swarm.summary()
    assert summary["requests"] == summary["ended_after_load"] == recording.count
    (address,) = summary["addresses"].values()
    assert (address["requests"], address["failures"]) == (recording.count, 0)
    assert address["latency_us"]["p50"] == pytest.approx(summary["latency_us"]["p50"], rel=0.05)
    assert summary["rate_rps"] == 0.0


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_hopeless_run_ends_early_with_the_reason(
    swarm: Swarm, recording: Recording, run: Any, processes: str
) -> None:
    recording.answer = lambda _: answer_bytes(503)
    result = run(
        "--abort-when", "error_rate>50% for 2s", "-t", "60s", "--wait-min", "0.02", "--wait-max", "0.02",
        "--processes", processes,
    )  # fmt: skip
    assert result.returncode == 3, result.stderr
    summary = swarm.summary()
    assert (summary["verdict"], summary["tone"]) == ("aborted", "bad")
    assert summary["reasons"][0].startswith("error_rate>50% for 2s: error_rate was 100 % from ")
    assert summary["duration_s"] < 20


def test_a_warm_up_may_be_a_number_of_requests(swarm: Swarm, recording: Recording, run: Any) -> None:
    assert run("--warm-up", "50 requests", "-t", "7s", "--wait-min", "0.02", "--wait-max", "0.02").returncode == 0
    summary = swarm.summary()
    assert summary["left_out"]["requests"] >= 50
    assert summary["requests"] + summary["left_out"]["requests"] == recording.count
    assert 0 < summary["measured_s"] < summary["duration_s"]
