"""Captures replayed by real processes: every recorded body, byte for byte, with its content type and at its instant."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from capture_records import gateway_row, legacy_row, sagemaker_record, write_lines
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

pytestmark = pytest.mark.processes

# Of this machine: the server of these tests is a thread of a busy process.
TOLERANCE_S = 0.15


def replay(swarm: Swarm, recording: Recording, data: Path, *arguments: str) -> Any:
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(data), "--results", str(swarm.results), "-u", "10",
        "--master-bind-port", str(swarm.master_port), "--master-port", str(swarm.master_port), "--arrival", "trace",
        *arguments,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def content_types(recording: Recording) -> list[bytes]:
    """Those of all requests, in the order in which they came."""
    return [
        next(line[14:] for line in head.split(b"\r\n") if line.startswith(b"Content-Type: "))
        for head in recording.heads
    ]


def write_sagemaker_capture(folder: Path) -> dict[bytes, tuple[str, float]]:
    """Write half a minute around a full hour; return the content type of each body and its second since the first."""
    files: dict[str, list[dict[str, Any]]] = {"2022/02/14/17/59-30-a.jsonl": [], "2022/02/14/18/00-00-b.jsonl": []}
    wanted: dict[bytes, tuple[str, float]] = {}
    for number in range(30):
        time = datetime.datetime(2022, 2, 14, 17, 59, 40) + datetime.timedelta(seconds=number)
        body, encoding, content_type = [
            (f"{number},0,153.7,1\n{number},1,2,3\n".encode(), "CSV", "text/csv"),
            (b'{ "instances": [ {"a": %d} ] }' % number, "JSON", "application/json"),
            (bytes([number, 0, 255, 13, 10]), "BASE64", "application/x-npy"),
        ][number % 3]
        data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode()
        # The later ones of each file are written first.
        name = f"2022/02/14/{time.hour}/" + ("59-30-a.jsonl" if time.hour == 17 else "00-00-b.jsonl")
        files[name].insert(0, sagemaker_record(data, f"{time.isoformat()}Z", encoding, content_type))
        wanted[body] = content_type, float(number)
    files["2022/02/14/17/59-30-a.jsonl"].append(sagemaker_record(None, "2022-02-14T17:59:59Z"))
    for name, records in files.items():
        write_lines(folder / name, records)
    return wanted


@pytest.mark.alone
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_capture_of_sagemaker_is_sent_as_it_was(
    swarm: Swarm, recording: Recording, tmp_path: Path, workers: str
) -> None:
    wanted = write_sagemaker_capture(tmp_path / "endpoint/AllTraffic")
    result = replay(
        swarm, recording, tmp_path / "endpoint", "--trace-format", "sagemaker-data-capture", "--api", "sagemaker-csv",
        "--speed", "10", "--processes", workers,
    )  # fmt: skip
    assert sorted(recording.bodies) == sorted(wanted)
    kinds = [wanted[body][0].encode() for body in recording.bodies]
    assert content_types(recording) == kinds
    assert set(recording.targets) == {"/invocations"}
    late_s = np.array(recording.times_s) - np.array([wanted[body][1] for body in recording.bodies]) / 10
    assert np.percentile(late_s - late_s.min(), 90) < TOLERANCE_S
    # The one request before the run is a recorded one as well.
    assert len(recording.probes) == 1
    assert recording.probes[0] in wanted
    assert "not sent: 1 of 31 recorded requests, whose bodies the capture does not have" in result.stderr
    arrivals = swarm.summary()["arrivals"]
    assert (arrivals["wanted"], arrivals["sent"], arrivals["unaccounted"]) == (30, 30, 0)


def test_an_inference_table_is_repeated_until_its_number_of_requests(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    begin = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    rows = [
        gateway_row(f'{{"inputs": [[{number}], [2]] }}', begin + datetime.timedelta(milliseconds=50 * number))
        for number in range(20)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table.parquet")
    recording.answer = lambda body: answer_bytes(body=b'{"predictions":[1,2]}')
    replay(
        swarm, recording, tmp_path / "table.parquet", "--trace-format", "inference-table", "--api", "mlflow",
        "--path", "/serving-endpoints/m/invocations", "--loop", "--requests", "50", "--speed", "2", "--processes", "0",
        "--check-answer", "valid",
    )  # fmt: skip
    bodies = [row["request"].encode() for row in rows]
    assert sorted(recording.bodies) == sorted([*bodies, *bodies, *bodies[:10]])
    assert set(content_types(recording)) == {b"application/json"}
    assert set(recording.targets) == {"/serving-endpoints/m/invocations"}
    summary = swarm.summary()
    assert summary["request_limit"]["sent"] == 50
    # Two predictions for the two rows of a body are a good answer.
    assert summary["requests"] == 50
    assert summary["error_rate"] == 0


def test_an_answer_without_predictions_to_a_recorded_request_is_a_failure(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = write_lines(tmp_path / "table.jsonl", [legacy_row("{}", 1714521600000 + number) for number in range(5)])
    recording.answer = lambda body: answer_bytes(body=b'{"predictions":[]}')
    result = swarm.run(
        "--headless", "--no-probe", "--host", recording.url, "--data", str(data), "--results", str(swarm.results),
        "--processes", "0", "--arrival", "trace", "--trace-format", "inference-table", "--check-answer", "valid",
    )  # fmt: skip
    assert "no predictions in it" in result.stdout + result.stderr
    assert recording.bodies == [b"{}"] * 5


def test_print_row_shows_a_recorded_request(swarm: Swarm, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "a.jsonl", [sagemaker_record("1,2\n3,4", "2022-02-14T17:25:49Z")])
    result = swarm.run(
        "--data", str(data), "--arrival", "trace", "--trace-format", "sagemaker-data-capture", "--api",
        "sagemaker-csv", "--print-row",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "POST /invocations HTTP/1.1\n" in result.stdout
    assert "\nContent-Type: text/csv\nContent-Length: 7\n\n1,2\n3,4\n" in result.stdout
    assert "-H 'Content-Type: text/csv'" in result.stdout


def test_a_line_that_is_no_record_ends_the_run_before_anything_is_sent(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = write_lines(tmp_path / "a.jsonl", [json.dumps(sagemaker_record("1", "2022-02-14T17:25:49Z")), "{"])
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(data), "--results", str(swarm.results), "--processes", "0",
        "--arrival", "trace", "--trace-format", "sagemaker-data-capture",
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert f"{data}, line 2: it is not JSON" in result.stderr
    assert recording.count == 0


def test_all_predictions_for_a_recorded_request_are_compared_with_those_before(
    swarm: Swarm, recording: Recording, tmp_path: Path
) -> None:
    data = write_lines(
        tmp_path / "table.jsonl",
        [legacy_row(f'{{"inputs":[[{number}],[0]]}}', 1714521600000 + 20 * number) for number in range(5)],
    )
    # The second prediction of the first record is another one when it comes again.
    recording.answer = lambda body: answer_bytes(
        body=b'{"predictions":[1,%d]}' % (recording.bodies.count(body) if b"[0],[0]" in body else 7)
    )
    swarm.run(
        "--headless", "--no-probe", "--host", recording.url, "--data", str(data), "--results", str(swarm.results),
        "--processes", "0", "--arrival", "trace", "--trace-format", "inference-table", "--api", "mlflow", "--loop",
        "--requests", "10", "--check-answer", "consistent",
    )  # fmt: skip
    assert recording.count == 10
    (failure,) = swarm.summary()["failed"]
    assert failure["error"] == "answer: another answer than before to the same row"
    assert (failure["count"], failure["rows"]) == (1, [0])
