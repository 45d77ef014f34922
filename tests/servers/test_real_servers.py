"""Real servers of other makers, each in its own environment: load-tested by a real swarm, and their answers compared.

They run with `scripts/test --servers`.
"""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Trained
from real_servers import CASES, Case, RealServer
from swarm_processes import Swarm

from inference_swarm.apis.predictions import predictions
from inference_swarm.apis.table import predictions_of, request_format
from inference_swarm.config.settings import Settings
from inference_swarm.transport.target import target_of
from tests.apis.sent_bodies import settings_of

pytestmark = [
    pytest.mark.servers,
    pytest.mark.processes,
    pytest.mark.long,
    pytest.mark.xdist_group("servers"),  # one after the other: each has two cores' worth of processes
    pytest.mark.timeout(900),
]
SAMPLED_ROWS = 200
RECORDED_ROWS = 300
LOAD_S = 10
METHODS = ("predict", "predict_proba")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.server}-{case.api}")
def test_a_real_server_holds_load_without_a_failure_and_says_what_its_model_says(
    case: Case,
    swarm: Swarm,
    start_server: Callable[[str], RealServer],
    train: Callable[[str], Trained],
    stroke_rows: Path,
    stroke_table: pa.Table,
) -> None:
    server = start_server(case.server)
    expected = train(case.server).expected
    for method in METHODS:
        for batch_size in (1, 32):
            check_predictions(case, server, stroke_table, method, batch_size, expected[method])
    check_load(case, server, swarm, stroke_rows, "predict", 1)
    check_load(case, server, swarm, stroke_rows, "predict_proba", 32)
    check_answers_under_load(case, server, swarm, stroke_rows, expected["predict_proba"])


def check_predictions(
    case: Case, server: RealServer, table: pa.Table, method: str, batch_size: int, expected: list[Any]
) -> None:
    """Rows sampled with their nulls, in requests of the swarm's own making: predictions are those of the model."""
    settings = settings_for(case, server.url, method)
    row_format = request_format(settings, table.schema, batch_size)
    chosen = random.Random(f"{case.server} {method} {batch_size}").sample(range(table.num_rows), SAMPLED_ROWS)
    sample = table.take(chosen)
    assert sample.column("bmi").null_count > 0
    stored = [text for part in row_format.encode(sample) for text in part.to_pylist()]
    found: list[Any] = []
    for first in range(0, SAMPLED_ROWS, batch_size):
        rows = stored[first : first + batch_size]
        request = urllib.request.Request(target_of(settings).url, row_format.body_of(rows), dict(row_format.headers))
        with urllib.request.urlopen(request, timeout=60) as answer:
            found += predictions(predictions_of(settings), answer.read(), len(rows))
    wanted = [expected[row] for row in chosen]
    if method == "predict":
        assert 0 < sum(wanted) < SAMPLED_ROWS
        assert found == wanted
    else:  # a batch adds up in another order than a row
        assert [len(pair) for pair in found] == [2] * SAMPLED_ROWS
        assert [value for pair in found for value in pair] == pytest.approx(
            [value for pair in wanted for value in pair], rel=1e-9
        )


def check_load(case: Case, server: RealServer, swarm: Swarm, rows: Path, method: str, batch_size: int) -> None:
    """A master and two workers: nothing fails, and the server has counted what the swarm has."""
    before, name = server.counted(), f"{method}-{batch_size}"
    done = swarm.run(
        "--headless", "--processes", "2", "--master-bind-port", str(swarm.master_port), "--master-port",
        str(swarm.master_port), "--data", str(rows), "--results", str(swarm.results), "--run-name", name,
        "-u", "6", "-r", "100", "-t", f"{LOAD_S}s", "--check-answer", "--wait-ready", "30s",
        *(("--batch-size", str(batch_size)) if batch_size > 1 else ()), *case.arguments(server.url, method),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + server.log()[-3000:]
    summary = swarm.read_summary(swarm.results / "runs" / name)
    assert (summary["failures"], summary["workers"], summary["complete"]) == (0, 2, True)
    assert summary["requests"] > LOAD_S
    probe = 1  # the one request before the run, in no number of it
    assert server.counted() - before == summary["requests"] + probe


def check_answers_under_load(case: Case, server: RealServer, swarm: Swarm, rows: Path, expected: list[Any]) -> None:
    """Answers recorded in calm are the model's own, and those under load, in batches, are the same."""
    some, answers = swarm.folder / "some.parquet", swarm.folder / "answers.parquet"
    pq.write_table(pq.read_table(rows).slice(0, RECORDED_ROWS), some)
    common = (
        "--headless",
        "--processes",
        "0",
        "--data",
        str(some),
        "--results",
        str(swarm.results),
        "--wait-ready",
        "30s",
    )
    recorded = swarm.run(
        *common, "--run-name", "record", "--record-answers", str(answers), *case.arguments(server.url, "predict_proba")
    )
    assert recorded.returncode == 0, recorded.stderr + server.log()[-3000:]
    found = pq.read_table(answers).column("answer").to_pylist()
    assert [value for pair in found for value in pair] == pytest.approx(
        [value for pair in expected[:RECORDED_ROWS] for value in pair], rel=1e-9
    )
    loaded = swarm.run(
        *common, "--run-name", "expect", "--expect-answers", str(answers), "--batch-size", "8",
        "-u", "8", "-r", "100", "-t", "5s", *case.arguments(server.url, "predict_proba"),
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr + server.log()[-3000:]
    summary = swarm.read_summary(swarm.results / "runs" / "expect")
    assert (summary["failures"], summary["answers"]["wrong"]) == (0, 0)
    assert summary["answers"]["rows"] == summary["rows"] > 0


def settings_for(case: Case, url: str, method: str) -> Settings:
    names = {"--model": "model", "--pred-method": "pred_method"}
    flags = case.options(method)
    chosen = {names[flag]: value for flag, value in zip(flags[::2], flags[1::2], strict=True)}
    return settings_of(**{"api": case.api, "host": url, "model": "", **chosen})
