"""`from inference_swarm import read_run`: typed values and frames, without Locust."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "export"))

from sample_runs import make_run, save_run  # noqa: E402

from inference_swarm import read_run  # noqa: E402
from inference_swarm.errors import DataError  # noqa: E402


def test_values_are_those_of_the_summary(tmp_path: Path) -> None:
    run = read_run(save_run(make_run(slo=("p50<1ms",), failed=10), tmp_path / "a-run"))
    assert (run.run, run.verdict, run.exit_code) == ("a-run", "objective missed", 3)
    assert (run.requests, run.failed, run.succeeded) == (20_000, 200, 19_800)
    assert run.reasons[0].startswith("p50<1ms: fail")
    assert run.latency_us["p50"] == pytest.approx(5000, rel=0.03)
    assert run.error_rate == pytest.approx(0.01)


def test_frames_hold_what_the_files_hold(tmp_path: Path) -> None:
    run = read_run(str(save_run(make_run(failed=10), tmp_path / "a-run")))
    intervals = run.intervals
    assert len(intervals) == 10
    assert intervals["requests"].sum() == run.requests
    assert run.percentiles.loc[("", "latency"), "p99"] == run.latency_us["p99"]
    assert run.percentiles.loc[("POST /invocation", "failed_latency"), "p50"] > 0
    histogram = run.histogram
    assert histogram["count"].sum() == run.succeeded
    assert (histogram["low_us"] <= histogram["high_us"]).all()
    below = histogram[histogram["high_us"] <= run.latency_us["p50"]]["count"].sum() / run.succeeded
    assert below == pytest.approx(0.5, abs=0.02)
    assert run.failures["count"].tolist() == [200]
    assert run.failures["error"].tolist() == ["status: 500 Oops"]


def test_a_run_without_failures_has_an_empty_frame_of_them(tmp_path: Path) -> None:
    frame = read_run(save_run(make_run(), tmp_path / "a-run")).failures
    assert (len(frame), "explanation" in frame.columns) == (0, True)


def test_what_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"summary\.json does not exist"):
        read_run(tmp_path)


@pytest.mark.processes
def test_reading_patches_nothing_and_names_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, inference_swarm; from inference_swarm import read_run; "
        "print([name for name in ('locust', 'gevent', 'pandas') if name in sys.modules]); "
        "from inference_swarm import InferenceUser, attach; import socket; "
        "print(socket.socket.__module__, 'locust' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "locust"), "PATH": "/usr/bin"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[]", "gevent._socket3 True"]
