"""Commands of README and documents: each is run by a test or listed as not run, and those that are run here are run."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from recording_server import Recording
from swarm_processes import ROOT, Swarm

from inference_swarm.cli.run import locust_arguments

sys.path.insert(0, str(Path(__file__).resolve().parent))

from document_commands import LIST, commands, listed

HERE = [command for command, how in listed().items() if how == "run here"]
OURS = re.compile(r"(?:scripts/start\.sh|inference-swarm) (.*)")
SEARCH = ("--rate", "50", "--precision", "50%", "--confirm", "2s", "--step-max", "2s", "--budget", "10s")
LOCUSTFILE = "from inference_swarm import InferenceUser, attach\n\nattach()\n\n\nclass Mine(InferenceUser):\n    pass\n"


def test_every_command_of_the_documents_is_run_by_a_test_or_listed_as_not_run() -> None:
    found, known = commands(), listed()
    missing = [f"{page}: {command}" for command, page in found.items() if command not in known]
    assert missing == [], f"add each to {LIST.name}, with the test that runs it or why none does"
    assert [command for command in known if command not in found] == [], "no page has these any more"


def test_every_entry_of_the_list_names_a_test_or_a_reason() -> None:
    for command, how in listed().items():
        if how.startswith("run by "):
            path, _, name = how.removeprefix("run by ").partition("::")
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{command}: {how}"
        else:
            assert how == "run here" or how.startswith("not run: "), f"{command}: {how}"


@pytest.fixture
def folder(swarm: Swarm) -> Path:
    """Where the commands are called: the files that the documents speak of."""
    rows = "id,age,bmi,churned\n" + "".join(f"{n},{20 + n},{18.5 + n},{n % 2}\n" for n in range(40))
    for name in ("rows", "customers", "churn"):
        (swarm.folder / f"{name}.csv").write_text(rows, encoding="utf-8")
        pd.read_csv(io.StringIO(rows)).to_parquet(swarm.folder / f"{name}.parquet")
    (swarm.folder / "request.json").write_text('{"inputs": {{rows}}}', encoding="utf-8")
    (swarm.folder / "my_locustfile.py").write_text(LOCUSTFILE, encoding="utf-8")
    return swarm.folder


@pytest.mark.processes
@pytest.mark.parametrize("command", HERE)
def test_a_command_of_the_documents_runs(command: str, folder: Path, swarm: Swarm, recording: Recording) -> None:
    found = OURS.search(command)
    assert found is not None
    text = re.sub(r"http://127\.0\.0\.1:\d+|\"?\$(?:MODEL_URL|HOST)\b\"?|\bHOST\b", recording.url, found[1])
    text = re.sub(r"--run-time \S+", "--run-time 2s", text)
    words = shlex.split(text.rstrip(')"') if text.startswith("completion") else text)
    recording.delay_s = 0.01
    run_of[words[0]](words, folder, swarm, recording)


def by_run(words: list[str], folder: Path, swarm: Swarm, recording: Recording) -> None:
    """Its first request, or all of it for two seconds."""
    if "--expect-answers" in words:
        by_run(
            [*words[: words.index("--expect-answers")], "--record-answers", "answers.parquet"], folder, swarm, recording
        )
    if "--baseline" in words:
        by_run(
            ["run", recording.url, "--data", "rows.csv", "--results", "earlier", "--run-name", "x"],
            folder,
            swarm,
            recording,
        )
        (folder / "earlier" / "runs" / "x").rename(folder / "baseline")
    if "-f" in words:
        done = by_command([*words, "--run-time", "2s", "--processes", "0"], folder)
    else:
        short = [] if "--print-row" in words else ["--run-time", "2s", "--processes", "0"]
        done = swarm.run(*locust_arguments([*words[1:], *short]))
    if "--print-row" in words:
        assert (done.returncode, "curl" in done.stdout) == (0, True), done.stderr
    else:
        assert done.returncode in (0, 3, 4), done.stderr  # two seconds are too short for some questions
        assert recording.count > 0
        assert re.search(r"^verdict ", done.stderr, re.M), done.stderr


def by_locust(words: list[str], folder: Path, swarm: Swarm, recording: Recording) -> None:
    """Without its web UI: the request that a row becomes."""
    data = [] if "--data" in words else ["--data", "rows.csv"]
    done = swarm.run(*words[1:], *data, *([] if "--print-row" in words else ["--print-row"]))
    assert (done.returncode, "curl" in done.stdout) == (0, True), done.stderr


def by_capacity(words: list[str], folder: Path, swarm: Swarm, recording: Recording) -> None:
    """A search of some seconds, which ends with an answer or says that it could not."""
    at = words.index("--") if "--" in words else len(words)
    data = [] if "--data" in words else ["--data", "rows.csv"]
    done = by_command([*words[:at], *data, *SEARCH, "--", *words[at + 1 :], "--processes", "0"], folder)
    assert done.returncode in (0, 3, 4), done.stderr
    assert "Report: " in done.stdout, done.stdout + done.stderr
    assert "/INFO/" not in done.stderr
    assert recording.count > 0


def by_runs(words: list[str], folder: Path, swarm: Swarm, recording: Recording) -> None:
    names = ["one", "two"][: words.count("RUN")]
    for name in names:
        by_run(["run", recording.url, "--data", "rows.csv", "--run-name", name], folder, swarm, recording)
    done = by_command([words[0], *names], folder)
    assert done.returncode == 0, done.stderr
    assert ("too short to say" if words[0] == "compare" else "experiment-results/runs/one/report.html") in done.stdout


def by_completion(words: list[str], folder: Path, swarm: Swarm, recording: Recording) -> None:
    done = by_command(words[:2], folder)
    assert (done.returncode, "inference-swarm" in done.stdout) == (0, True)


run_of = {
    "run": by_run,
    "locust": by_locust,
    "capacity": by_capacity,
    "compare": by_runs,
    "report": by_runs,
    "completion": by_completion,
}


def by_command(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """The command as it is installed."""
    variables = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": f"{ROOT / 'locust'}:{ROOT}",
        "SWARM_CONFIG": str(folder / "config.json"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "inference_swarm.cli.main", *words],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
