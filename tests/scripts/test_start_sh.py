"""scripts/start.sh and its sister, called from elsewhere, through links, by old shells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import recording_server

from inference_swarm.cli.main import help_page

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environments import ROOT, complete_environment

pytestmark = pytest.mark.processes

START = ROOT / "scripts" / "start.sh"
HEADLESS = ROOT / "scripts" / "run_locust_headless.sh"
FOR_USERS = ("start.sh", "run_locust_headless.sh", "environment.sh", "in_environment")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return complete_environment(tmp_path / "venv")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder of the caller, with packages that are called like ours."""
    folder = tmp_path / "else where"
    for name in ("server", "inference_swarm"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    return folder


def run(
    command: list[str | Path], cwd: Path, variables: dict[str, str], timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def test_keys_are_made_where_the_caller_stands(elsewhere: Path, variables: dict[str, str]) -> None:
    done = run([START, "keys", "mykeys"], elsewhere, variables)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (elsewhere / "mykeys").iterdir()) == [
        "master.key", "master.key_secret", "worker.key", "worker.key_secret",
    ]  # fmt: skip
    again = run([START, "keys", "mykeys"], elsewhere, variables)
    assert (again.returncode, "holds keys already" in again.stderr) == (2, True)


def test_training_reads_and_writes_where_the_caller_stands(elsewhere: Path, variables: dict[str, str]) -> None:
    lines = [f"{number},{number % 7},{'yes' if number % 3 else 'no'}" for number in range(80)]
    (elsewhere / "mine.csv").write_text("\n".join(["a,b,answer", *lines]))
    done = run(
        [START, "train", "--data", "mine.csv", "--target", "answer", "--model", "xgboost", "--results", "out"],
        elsewhere,
        variables,
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "out" / "models" / "mine_XGBoost.ubj").is_file()
    assert not (ROOT / "out").exists()


@pytest.mark.parametrize("link", ["absolute", "relative", "chain"])
def test_a_link_to_a_script_leads_to_its_neighbours(elsewhere: Path, variables: dict[str, str], link: str) -> None:
    target = START if link == "absolute" else Path(*[".."] * (len(elsewhere.parts) - 1), *START.parts[1:])
    (elsewhere / "swarm").symlink_to(target)
    if link == "chain":
        (elsewhere / "bin").mkdir()
        (elsewhere / "bin" / "swarm").symlink_to("../swarm")
    called = elsewhere / "bin" / "swarm" if link == "chain" else elsewhere / "swarm"
    done = run([called, "keys", "linked"], elsewhere, variables)
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "linked" / "master.key").is_file()


def test_a_headless_run_takes_its_data_from_where_the_caller_stands(elsewhere: Path, variables: dict[str, str]) -> None:
    pq.write_table(pa.table({"number": [1, 2, 3]}), elsewhere / "x.parquet")
    (elsewhere / "load").symlink_to(HEADLESS)
    with recording_server() as server:
        done = run(
            [elsewhere / "load", server.url, "1", "1", "1s", "WARNING", "--",
             "--data", "x.parquet", "--processes", "0", "--results", "out"],
            elsewhere,
            variables,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert server.count > 0
    assert len(list((elsewhere / "out" / "runs").iterdir())) == 1


def test_results_that_nobody_names_are_the_checkouts_from_anywhere(elsewhere: Path, variables: dict[str, str]) -> None:
    done = run([START, "locust", "--print-settings"], elsewhere, variables)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "SWARM_RESULTS" in line]
    assert str(ROOT / "experiment-results") in line


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["demo", "--seconds", "0"], "'0' is not a whole number of at least 1"),
        (["demo", "--users", "-1"], "'-1' is not a whole number of at least 1"),
        (["demo", "--results", "file/x"], "file is not a folder"),
        (["test", "http://127.0.0.1:9", "1", "1", "1s", "--results", "file"], "file is not a folder"),
        (["train", "--results", "file/x"], "file is not a folder"),
        (["keys", "file/x"], "file/x"),
        (["k8s-job", "--results", "file/x"], "file is not a folder"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_a_message(
    elsewhere: Path, variables: dict[str, str], arguments: list[str], problem: str
) -> None:
    (elsewhere / "file").touch()
    done = run([START, *arguments], elsewhere, variables)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", [["--headless", "-t", "1s"], []])
def test_a_run_whose_results_cannot_be_written_never_starts(
    elsewhere: Path, variables: dict[str, str], mode: list[str]
) -> None:
    (elsewhere / "file").touch()
    arguments = [*mode, "--host", "http://127.0.0.1:9", "--processes", "2", "--results", "file/x"]
    done = run([START, "locust", *arguments], elsewhere, variables)
    assert done.returncode == 2
    assert f"{elsewhere / 'file'} is not a folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", FOR_USERS)
def test_the_scripts_of_users_hold_nothing_that_bash_3_2_lacks(name: str) -> None:
    """macOS has bash 3.2. An array that may be empty is an error there under `set -u`."""
    text = (ROOT / "scripts" / name).read_text(encoding="utf-8")
    newer = re.findall(r"\b(?:mapfile|readarray|declare -[An]|local -[An]|coproc)\b|\$\{\w+(?:,,|\^\^|@\w)|&>>", text)
    assert newer == []
    arrays = set(re.findall(r"(?<!\+)\"\$\{(\w+)\[@\]\}\"", text))
    filled = set(re.findall(r"^(\w+)=\([^)\s]", text, re.M))
    assert arrays <= filled


def test_help_is_shown_before_any_environment_is_made(tmp_path: Path) -> None:
    variables = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "SWARM_VENV": str(tmp_path / "venv")}
    done = run([START, "--help"], tmp_path, variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{help_page()}\n"
    unknown = run([START, "nonsense"], tmp_path, variables)
    assert (unknown.returncode, "Unknown command: nonsense" in unknown.stderr) == (2, True)
    assert not (tmp_path / "venv").exists()


def test_the_headless_script_wants_a_host_users_and_a_duration(tmp_path: Path) -> None:
    variables = {"PATH": "/usr/bin:/bin", "SWARM_VENV": str(tmp_path / "venv")}
    assert run([HEADLESS, "http://x", "1"], tmp_path, variables).returncode == 2
