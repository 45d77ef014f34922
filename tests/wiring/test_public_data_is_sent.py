"""Twenty public datasets, each in a run of the real command: every body is a row of the file, and every row is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from public_schemas import SCHEMAS, rows_of
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_run_sends_each_row_as_the_file_has_it_without_a_failure(
    name: str, swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    columns = SCHEMAS[name]()
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", row_group_size=2)
    wanted = [json.dumps(row, sort_keys=True) for row in rows_of(columns)]

    def check(body: bytes) -> bytes:
        return answer_bytes(200 if json.dumps(json.loads(body), sort_keys=True) in wanted else 422)

    recording.answer = check
    run = swarm.run(
        "--host", recording.url, "--data", str(tmp_path / "rows.parquet"), "--row-order", "once", "--headless",
        "-u", "2", "-r", "100", "-t", "30s", "--processes", "0", "--results", str(swarm.results),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    sent = sorted(json.dumps(json.loads(body), sort_keys=True) for body in recording.bodies)
    assert sent == sorted(wanted)
    assert set(recording.targets) == {"/invocation"}
