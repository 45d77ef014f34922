"""Twenty public datasets, each in a run of the real command: every body is a row of the file, and every row is sent."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from public_schemas import SCHEMAS, Columns, generated, rows_of
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


def with_parquet(columns: Columns, folder: Path) -> None:
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=60)


def with_old_parquet(columns: Columns, folder: Path) -> None:
    pq.write_table(
        pa.table(columns), folder / "rows.parquet", store_schema=False, use_deprecated_int96_timestamps=True,
        version="1.0",
    )  # fmt: skip


def with_arrow(columns: Columns, folder: Path) -> None:
    feather.write_feather(pa.table(columns), folder / "rows.arrow", chunksize=60)


def with_json_lines(columns: Columns, folder: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows_of(columns)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")


FORMS = (with_parquet, with_old_parquet, with_arrow, with_json_lines)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_run_sends_each_row_as_the_file_has_it_without_a_failure(
    name: str, swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    columns = generated(SCHEMAS[name])
    folder = tmp_path / name
    folder.mkdir()
    FORMS[list(SCHEMAS).index(name) % len(FORMS)](columns, folder)
    wanted = Counter(json.dumps(row, sort_keys=True) for row in rows_of(columns))

    def check(body: bytes) -> bytes:
        return answer_bytes(200 if json.dumps(json.loads(body), sort_keys=True) in wanted else 422)

    recording.answer = check
    run = swarm.run(
        "--host", recording.url, "--data", str(folder), "--row-order", "once", "--headless",
        "-u", "2", "-r", "100", "-t", "30s", "--processes", "0", "--results", str(swarm.results),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert Counter(json.dumps(json.loads(body), sort_keys=True) for body in recording.bodies) == wanted
    assert set(recording.targets) == {"/invocation"}
    assert swarm.summary()["failures"] == 0
