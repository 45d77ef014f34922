"""The shell parts of docs/ci.md as they stand there, and gates of a pipeline by the real command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from recording_server import Recording
from swarm_processes import ROOT, Swarm, free_port, wait_until

pytestmark = pytest.mark.processes

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def github() -> dict[str, Any]:
    (workflow,) = [text for text in blocks("yaml") if "runs-on" in text]
    return dict(yaml.safe_load(workflow))


def scripts() -> list[tuple[str, str]]:
    """(where it stands, the shell part)."""
    (gitlab,) = [text for text in blocks("yaml") if "script:" in text]
    (jenkins,) = blocks("groovy")
    return [
        ("github", "\n".join(step["run"] for step in github()["jobs"]["load"]["steps"] if "run" in step)),
        ("gitlab", "\n".join(yaml.safe_load(gitlab)["load"]["script"])),
        ("jenkins", "\n".join(re.findall(r"sh '(.*)'", jenkins))),
        ("page", blocks("bash")[0]),
    ]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """What a job has: the rows of its repository, the command, and a pip that installs nothing."""
    (tmp_path / "rows.csv").write_text("age,bmi\n67,36.6\n61,28.9\n", encoding="utf-8")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "inference-swarm").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m inference_swarm.cli.main "$@" --processes 0\n', encoding="utf-8"
    )
    (commands / "pip").write_text('#!/bin/sh\n[ "$1" = install ]\n', encoding="utf-8")
    for command in commands.iterdir():
        command.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("where", "script"), scripts(), ids=[name for name, _ in scripts()])
def test_the_shell_parts_of_the_page_run(where: str, script: str, workspace: Path, recording: Recording) -> None:
    summary = workspace / "job-summary.md"
    variables = {
        "PATH": f"{workspace / 'bin'}:{os.environ['PATH']}", "HOME": str(workspace),
        "PYTHONPATH": f"{ROOT / 'locust'}:{ROOT}", "MODEL_URL": recording.url, "RUN_TIME": "2s",
        **({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)} if where == "github" else {}),
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=workspace, env=variables, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    suite = ET.parse(workspace / "results" / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert "p99<" in str([case.get("name") for case in suite.iter("testcase")])
    assert done.returncode in (0, 3, 4), done.stderr  # a busy machine may be too slow, or send too little
    assert len(list((workspace / "results" / "runs").glob("*/report.html"))) == 1
    assert summary.exists() == (where == "github")
    if where == "page":
        assert (workspace / "results" / "summary.md").read_text(encoding="utf-8").startswith("### ")


QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
STEPS = [text for text in re.findall(r"^```bash\n(.*?)^```$", QUICKSTART, re.M | re.S) if "start.sh run" in text]


@pytest.mark.parametrize("step", STEPS, ids=range(1, len(STEPS) + 1))
def test_the_steps_of_the_quick_start_run(step: str, workspace: Path, recording: Recording) -> None:
    """As they stand there, but shorter; the fourth, a search for a capacity, takes minutes."""
    (workspace / "customers.csv").write_text("id,age,churned\n1,67,0\n2,61,1\n", encoding="utf-8")
    script = step.replace("scripts/start.sh", "inference-swarm").replace("HOST", recording.url)
    script = re.sub(r"--run-time \S+", "--run-time 3s", script).replace("--warm-up 10s", "--warm-up 1s")
    variables = {
        "PATH": f"{workspace / 'bin'}:{os.environ['PATH']}", "HOME": str(workspace),
        "PYTHONPATH": f"{ROOT / 'locust'}:{ROOT}",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=workspace, env=variables, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    if "--print-row" in step:
        assert done.returncode == 0, done.stderr
        assert '{"age": 67}' in done.stdout.replace('{"age":67}', '{"age": 67}')
        assert "curl" in done.stdout
        return
    assert done.returncode in (0, 3, 4), done.stderr
    assert {key for body in recording.bodies for key in json.loads(body)} == {"age"}
    assert "verdict" in done.stderr
    assert "/INFO/" not in done.stderr


def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    """actionlint: keys, contexts, inputs and versions of the actions; shellcheck over what they run."""
    (workflow,) = [text for text in blocks("yaml") if "runs-on" in text]
    path = tmp_path / "load.yaml"
    command = ["actionlint", "-no-color", "-shellcheck", "shellcheck", str(path)]
    path.write_text(workflow, encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    path.write_text(workflow.replace('"$MODEL_URL"', "$MODEL_URL"), encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "SC2086" in done.stdout  # it did look at the shell parts


def arguments(swarm: Swarm, target: Recording, rows: Path, seconds: int) -> list[str]:
    return [
        "--headless", "--host", target.url, "--data", str(rows), "--results", str(swarm.results), "-u", "2", "-r", "2",
        "-t", f"{seconds}s", "--processes", "0",
    ]  # fmt: skip


def test_a_run_too_short_to_be_compared_ends_with_4(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.delay_s = 0.01
    assert swarm.run(*arguments(swarm, recording, rows, 2), "--run-name", "base").returncode == 0
    options = ["--run-name", "short", "--baseline", "base", "--max-regression", "p50:20%"]
    done = swarm.run(*arguments(swarm, recording, rows, 2), *options)
    assert done.returncode == 4, done.stderr
    assert "too short to say" in done.stderr
    summary = json.loads((swarm.results / "runs" / "short" / "summary.json").read_text(encoding="utf-8"))
    objectives = [result["objective"] for result in summary["objectives"]]
    assert objectives == ["p50 at most 20 % above base"]


@pytest.mark.long
@pytest.mark.first
def test_a_run_that_is_surely_worse_than_its_baseline_ends_with_3(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    """Two real runs, one after the other: eight intervals of 3 s are the least that can be compared, and of thirteen a
    busy machine may be late with five.

    Five times the time of an answer, so that a busy machine hides nothing. It may say that it was busy: then the first
    ends with 4, and is a baseline all the same.
    """
    recording.delay_s = 0.02
    assert swarm.run(*arguments(swarm, recording, rows, 39), "--run-name", "base").returncode in (0, 4)
    recording.delay_s = 0.1
    junit = swarm.results / "junit.xml"
    options = [
        "--run-name",
        "worse",
        "--baseline",
        "base",
        "--max-regression",
        "p99:10%,rate:5%",
        "--junit",
        str(junit),
    ]
    done = swarm.run(*arguments(swarm, recording, rows, 39), *options)
    assert done.returncode == 3, done.stderr
    summary = json.loads((swarm.results / "runs" / "worse" / "summary.json").read_text(encoding="utf-8"))
    assert summary["exit_code"] == 3
    found = {result["objective"]: result["outcome"] for result in summary["objectives"]}
    assert found["rate at most 5 % below base"] == "fail"
    assert found["p99 at most 10 % above base"] in ("fail", "incomplete")  # of some hundred requests: at times too few
    missed = [case.get("name") for case in ET.parse(junit).iter("testcase") if case.find("failure") is not None]
    assert "rate at most 5 % below base" in missed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--baseline", "none", "--max-regression", "p99:10%"], "summary.json does not exist"),
        (["--max-regression", "p99:10%"], "--max-regression is given and --baseline is not"),
        (["--junit", "rows.parquet/junit.xml"], "--junit rows.parquet/junit.xml cannot be written"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    swarm: Swarm, recording: Recording, rows: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    options = [option.replace("rows.parquet", str(rows)) for option in options]
    done = swarm.run(*arguments(swarm, recording, rows, 2), *options)
    assert done.returncode == 2, done.stderr
    assert problem.replace("rows.parquet", str(rows)) in done.stderr
    assert recording.count == 0


def test_metrics_of_a_headless_run_are_read_at_a_port_of_their_own(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.delay_s = 0.01
    port = free_port()
    run = swarm.start("run", *arguments(swarm, recording, rows, 60), "--metrics-port", str(port))

    def read(path: str = "/metrics", host: str = "127.0.0.1") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": f"{host}:{port}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            return f"{error.code}"
        except OSError:
            return ""

    def count() -> float:
        found = re.search(r'^swarm_succeeded_total\{name="/invocation"\} (\S+)$', read(), re.M)
        return float(found[1]) if found else 0.0

    wait_until(lambda: count() > 0, 30, "requests in the metrics")
    assert "swarm_users 2.0" in read()
    assert read("/") == "404"
    assert read(host="evil.example") == "403"
    other = swarm.run(*arguments(swarm, recording, rows, 1), "--metrics-port", str(port))
    assert other.returncode == 2
    assert f"--metrics-port is {port}, which cannot be listened at" in other.stderr
    run.terminate()
    run.wait(60)
