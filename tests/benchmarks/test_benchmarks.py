"""The benchmarks begin on a bare Python, and compare bodies of the same length."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = sorted(
    path for path in (ROOT / "benchmarks").iterdir() if path.is_file() and not path.suffix and os.access(path, os.X_OK)
)
# A Python without any package that says what it is asked to run; the scripts take it for a complete environment.
STUB = """#!/bin/sh
echo "$@"
"""


@pytest.mark.processes
@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda path: path.name)
def test_on_a_bare_python_a_benchmark_begins_again_in_the_environment_of_the_scripts(
    benchmark: Path, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    (venv / "bin" / "python").write_text(STUB)
    (venv / "bin" / "python").chmod(0o755)
    (venv / ".installed-swarm").write_bytes((ROOT / "requirements" / "swarm.txt").read_bytes())
    # -S -E: no site-packages and no PYTHONPATH, as on a fresh clone
    done = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-S", "-E", benchmark, "--rounds", "1"],
        env={"PATH": os.environ["PATH"], "SWARM_VENV": str(venv)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{benchmark} --rounds 1\n", "")


def test_there_are_benchmarks() -> None:
    assert {"throughput", "encode", "shards", "users"} <= {path.name for path in BENCHMARKS}


def test_every_api_is_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import api_cases

    from inference_swarm.apis.table import APIS

    assert set(api_cases.CASES) == {
        *APIS, "open-inference-binary", "open-inference-matrix", "open-inference-matrix-binary",
    }  # fmt: skip
    table = pa.table({"n": [1, 2], "s": ["a", "b"]})
    assert api_cases.mean_body_bytes("invocation", table) == len('{"n":1,"s":"a"}')
    for case in api_cases.CASES:
        sent = api_cases.sent_of(case, table)
        made = api_cases.format_of(case, sent.schema, 2)
        stored = [text for part in made.encode(sent) for text in part.to_pylist()]
        assert len(made.body_of(stored)) > api_cases.mean_body_bytes(case, table)
        api = case.removesuffix("-binary").removesuffix("-matrix")
        assert api_cases.arguments_of(case, table)[:2] == ["--api", api]


def test_rows_have_on_average_the_length_that_the_other_load_generators_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import harness

    path = tmp_path / "rows.parquet"
    harness.make_rows(path, 4_000)
    lengths = [len(orjson.dumps(row)) for row in pq.read_table(path).to_pylist()]
    assert statistics.fmean(lengths) == pytest.approx(harness.BODY_BYTES, abs=1)


@pytest.mark.processes
def test_viewers_look_at_a_run_of_simulated_workers() -> None:
    options = ("--workers", "3", "--viewers", "2", "--window", "1", "--rounds", "1")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "viewers", *options],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["workers"] == 3
    assert found["requests"] >= 4  # the state and the run over time for each viewer
    assert found["bytes_a_request"] > 1000
