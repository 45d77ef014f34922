"""One request with one row before a run: what the server says to it decides whether there is a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm, free_port

pytestmark = pytest.mark.processes
OK = b'{"predictions":[0]}'
MLFLOW_WORDS = (
    b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "Failed to enforce schema: Model is missing inputs '
    b"['age'].\"}"
)
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
COMPARE = "compare the request that --print-row 0 shows with what the model takes"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(60))}), path)
    return path


def run(swarm: Swarm, url: str, rows: Path, *arguments: str, processes: int = 0) -> tuple[int, str]:
    """Exit code of a headless run of a second, and what it said."""
    done = swarm.run(
        "--headless", "--host", url, "--data", str(rows), "--results", str(swarm.results), "-u", "4", "-r", "100",
        "-t", "1s", "--processes", str(processes), "--master-bind-port", str(swarm.master_port),
        "--master-port", str(swarm.master_port), *arguments,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_the_swarm_sends_one_row_once_and_counts_it_in_nothing(swarm: Swarm, recording: Recording, rows: Path) -> None:
    code, said = run(swarm, recording.url, rows, "--row-order", "once", "-t", "40s", processes=2)
    assert code == 0, said
    assert [json.loads(body) for body in recording.probes] == [{"n": 0}]
    assert sorted(json.loads(body)["n"] for body in recording.bodies) == list(range(60))
    assert swarm.summary()["requests"] == 60
    assert "The server answered one row with 200 OK in " in said


@pytest.mark.parametrize(
    ("status", "body", "options", "words"),
    [
        pytest.param(
            404, b'{"detail":"Not Found"}', (),
            'POST URL/invocation responded 404 Not Found: {"detail":"Not Found"}\n'
            "  Expected: a status of --expect-status to the first row of the run\n"
            "  Fix: check --host, --path, --model and --model-version, and that --api is what this server speaks; "
            "--no-probe begins the run all the same",
            id="wrong path",
        ),
        pytest.param(400, MLFLOW_WORDS, (), f"responded 400 Bad Request: {MLFLOW_WORDS.decode()}", id="missing column"),
        pytest.param(
            500, b'{"error":"ValueError : columns are missing: {\'age\'}"}', (),
            "responded 500 Internal Server Error: {\"error\":\"ValueError : columns are missing: {'age'}\"}\n"
            "  Expected: a status of --expect-status to the first row of the run\n"
            f"  Fix: look into the server's log; {COMPARE}",
            id="missing column, told by a failure",
        ),
        pytest.param(
            422, b'{"detail":[{"loc":["body","n"],"msg":"not a valid integer"}]}', (),
            'responded 422 Unprocessable Entity: {"detail":[{"loc":["body","n"],"msg":"not a valid integer"}]}',
            id="wrong type",
        ),
        pytest.param(
            401, b'{"error":"token is missing"}', (),
            'responded 401 Unauthorized: {"error":"token is missing"}\n'
            "  Expected: a status of --expect-status to the first row of the run\n"
            "  Fix: send what the server asks for, such as --header 'Authorization: Bearer …'",
            id="401",
        ),
        pytest.param(503, b"loading", (), "Fix: wait until the server is ready, as --wait-ready 60s", id="503"),
        pytest.param(307, b"", (), "responded 307 Temporary Redirect: (no text)", id="redirect"),
        pytest.param(
            200, PAGE, (),
            "the server answered one row with a page of HTML: POST URL/invocation responded 200 OK: "
            "<!DOCTYPE html> <html><head><title>Sign in</title></head></html>\n"
            "  Expected: predictions, as --api invocation has them\n"
            "  Fix: a page is what a proxy, a login or another service shows: check --host, its port and --path",
            id="page",
        ),
        pytest.param(
            200, b'{"predictions":[null]}', ("--check-answer",),
            "the answer to one row fails --check-answer (null in place of a prediction): POST URL/invocation "
            'responded 200 OK: {"predictions":[null]}',
            id="null",
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_servers_words_and_there_is_no_run(
    swarm: Swarm, recording: Recording, rows: Path, status: int, body: bytes, options: tuple[str, ...], words: str
) -> None:
    recording.answer_probe = lambda _: answer_bytes(status, body)
    code, said = run(swarm, recording.url, rows, *options)
    assert code == 2, said
    assert "The run was refused: " in said
    assert words.replace("URL", recording.url) in said
    assert (len(recording.probes), recording.count) == (1, 0)
    assert not swarm.run_folders()


def test_a_server_of_another_kind_is_told(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.answer_probe = lambda _: b"SSH-2.0-OpenSSH_9.6\r\n"
    code, said = run(swarm, recording.url, rows)
    assert code == 2, said
    words = "the server answered one row with what is no HTTP response (not HTTP: Expected HTTP/, RTSP/ or ICE/)"
    assert f"{words}: POST {recording.url}/invocation: SSH-2.0-OpenSSH_9.6\n" in said
    assert "Fix: check --host and its port, and whether it is http or https" in said


def test_a_compressed_refusal_is_read_and_a_key_in_the_address_is_not_shown(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    packed = gzip.compress(b'{"error":"no such column"}')
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    recording.answer_probe = lambda _: head + packed
    code, said = run(swarm, recording.url + "?code=s3cr3t", rows)
    assert code == 2, said
    assert '{"error":"no such column"}' in said
    assert "s3cr3t" not in said


def test_without_the_probe_the_run_has_the_failures(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.answer = recording.answer_probe = lambda _: answer_bytes(400, b'{"error":"no"}')
    code, said = run(swarm, recording.url, rows, "--no-probe", "-u", "1", "--wait-min", "0.1", "--wait-max", "0.1")
    assert code == 1, said
    assert recording.probes == []
    assert swarm.summary()["failures"] == recording.count > 0


def test_a_response_that_the_check_would_fail_is_told_before_the_run(
    swarm: Swarm, recording: Recording, rows: Path
) -> None:
    recording.answer_probe = lambda _: answer_bytes(200, b'{"score":0.5}')
    code, said = run(swarm, recording.url, rows)
    assert code == 0, said
    assert 'ms; --check-answer would fail it (no predictions in it): {"score":0.5}' in said


def test_a_response_without_a_body_is_told_to_have_none(swarm: Swarm, recording: Recording, rows: Path) -> None:
    recording.answer_probe = lambda _: answer_bytes(200, b"")
    code, said = run(swarm, recording.url, rows)
    assert code == 0, said
    assert "ms; --check-answer would fail it (an empty body): (no text)" in said


def test_a_server_that_is_not_there_is_for_the_verdict(swarm: Swarm, rows: Path) -> None:
    code, said = run(swarm, f"http://127.0.0.1:{free_port()}", rows)
    assert code == 5, said
    assert "The server did not answer one row (connect: Connection refused); the run begins all the same." in said
    assert swarm.summary()["verdict"] == "target unreachable"


def test_the_run_waits_until_the_server_is_ready(swarm: Swarm, recording: Recording, rows: Path) -> None:
    answers = [503, 503, 405]
    recording.answer = lambda _: answer_bytes(answers.pop(0) if answers else 200)
    code, said = run(
        swarm, recording.url, rows, "--wait-ready", "20s", "--no-probe", "--row-order", "once", "-t", "40s"
    )
    assert code == 0, said
    assert not answers
    assert swarm.summary()["requests"] == 60 == recording.count - 3
    assert "The server is ready after " in said


def test_a_server_that_is_not_ready_in_time_ends_the_run_before_it_begins(swarm: Swarm, rows: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    code, said = run(swarm, url, rows, "--wait-ready", "1s")
    assert code == 5, said
    assert (
        "The run was refused: the server was not ready within 1 s (--wait-ready): There is no response to GET" in said
    )
    assert "connect: Connection refused" in said
    assert not swarm.run_folders()
