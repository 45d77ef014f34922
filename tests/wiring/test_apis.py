"""`--api`, by the real command against a real HTTP server: where requests go, what is asked before, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording, answer_bytes
from swarm_processes import Swarm

from inference_swarm.apis.table import APIS
from inference_swarm.errors import SettingProblem
from inference_swarm.load.print_row import print_row
from inference_swarm.run.named_files import resolve_template
from tests.apis.sent_bodies import bodies_of, settings_of

pytestmark = pytest.mark.processes

TABLE = pa.table({"age": [67, 40, 51], "bmi": [28.5, None, 22.0], "gender": ["Male", "Female", "Male"]})
TENSORS = b'{"outputs":[{"name":"predict","shape":[1],"datatype":"INT64","data":[0]}]}'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(TABLE, path)
    return path


def serve_tensors(recording: Recording, server: str, **datatypes: str) -> None:
    """Answer as a server of Open Inference, which tells the datatypes of these inputs."""
    inputs = [{"name": name, "datatype": datatype, "shape": [-1, 1]} for name, datatype in datatypes.items()]
    metadata = json.dumps({"name": server, "inputs": inputs}).encode()
    recording.answer = recording.answer_probe = lambda body: answer_bytes(200, TENSORS if body else metadata)


def run(swarm: Swarm, recording: Recording, data: Path, *arguments: str, processes: str = "0") -> Any:
    return swarm.run(
        "--data", str(data), "--host", recording.url + "/team/a?key=k", "--headless", "-u", "1", "-r", "10",
        "-t", "20s", "--processes", processes, "--master-bind-port", str(swarm.master_port), "--row-order", "once",
        "--results", str(swarm.results), *arguments,
    )  # fmt: skip


def test_workers_ask_the_server_for_datatypes_and_send_them(swarm: Swarm, recording: Recording, data: Path) -> None:
    serve_tensors(recording, "mlserver", age="FP32", gender="BYTES")
    done = run(swarm, recording, data, "--api", "open-inference", "--model", "m", "--check-answer")
    assert done.returncode == 0, done.stderr
    asked = [target for target, body in zip(recording.targets, recording.bodies, strict=True) if not body]
    assert set(asked) == {"/team/a/v2?key=k", "/team/a/v2/models/m?key=k"}
    sent = {(target, body) for target, body in zip(recording.targets, recording.bodies, strict=True) if body}
    wanted = bodies_of(TABLE, api="open-inference", column_types="age=FP32")
    assert {body for _, body in sent} == set(wanted)
    assert set(recording.probes) <= set(wanted)
    assert len(recording.probes) == 1
    assert {target for target, _ in sent} == {"/team/a/v2/models/m/infer?key=k"}
    assert b'"datatype":"FP32","data":[67.0]' in b"".join(wanted)


def test_a_null_that_the_server_would_refuse_ends_the_run_before_a_request(
    swarm: Swarm, recording: Recording, data: Path
) -> None:
    serve_tensors(recording, "triton", age="INT64", bmi="INT64")
    done = run(swarm, recording, data, "--api", "open-inference", "--model", "m")
    assert done.returncode == 2
    assert "Column 'bmi' has a null, and triton takes none in INT64" in done.stderr
    assert "Fix: give --fill-null bmi=0." in done.stderr
    assert [body for body in recording.bodies if body] == []
    types = ("--column-type", "bmi=FP64", "--binary")
    done = run(swarm, recording, data, "--api", "open-inference", "--model", "m", *types)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("api", "changes"),
    [
        ("open-inference", {}),
        ("open-inference", {"binary": True, "fill_null": "bmi=0"}),
        ("sagemaker-csv", {}),
        ("azureml", {}),
    ],
)
def test_batches_are_sent_of_every_kind_of_body(
    api: str, changes: dict[str, Any], swarm: Swarm, recording: Recording, data: Path
) -> None:
    arguments = ["--binary", "--fill-null", "bmi=0"] if changes else []
    done = run(swarm, recording, data, "--api", api, "--model", "m", "--batch-size", "2", *arguments)
    assert done.returncode == 0, done.stderr
    assert [body for body in recording.bodies if body] == bodies_of(TABLE, 2, api=api, **changes)
    assert b"content-length: %d" % len(recording.bodies[-1]) in recording.last_head.lower()


def test_an_empty_template_is_called_empty_and_a_byte_order_mark_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(" \n")
    with pytest.raises(SettingProblem, match=r"request\.json', which is an empty file"):
        resolve_template(settings_of(api="template", template=str(path)))
    path.write_text("{{rows}}", encoding="utf-8-sig")
    assert resolve_template(settings_of(api="template", template=str(path))).template == "{{rows}}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api", "mlflow", "--binary"), "--binary is True and --api is mlflow"),
        (("--api", "kserve-v1"), "--api kserve-v1 has the path /v1/models/{model}:predict, and --model is not set"),
        (("--api", "template", "--template", "none.json"), "--template is 'none.json', which is not a readable file"),
        (("--api", "mlflow", "--fill-null", "weight=0"), "--fill-null names 'weight', which is not sent"),
        (("--api", "mlfow"), "mlfow"),
    ],
)
def test_a_mistake_ends_the_run_with_2_before_a_request(
    arguments: tuple[str, ...], words: str, swarm: Swarm, recording: Recording, data: Path
) -> None:
    done = run(swarm, recording, data, *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert recording.bodies == []


def test_workers_of_their_own_process_send_a_template_that_the_master_has_read(
    swarm: Swarm, recording: Recording, data: Path, tmp_path: Path
) -> None:
    template = tmp_path / "request.json"
    template.write_text('{"x": [{{row}}], "ages": {{column:age}}}\n', encoding="utf-8")
    arguments = ("--api", "template", "--template", str(template), "--path", "/score?v=2")
    done = run(swarm, recording, data, *arguments, processes="2")
    assert done.returncode == 0, done.stderr
    assert sorted(map(json.loads, recording.bodies), key=str) == sorted(
        ({"x": [row], "ages": [row["age"]]} for row in TABLE.to_pylist()), key=str
    )
    assert set(recording.targets) == {"/team/a/score?key=k&v=2"}
    (summary,) = swarm.results.glob("runs/*/summary.json")
    settings = json.loads(summary.read_text())["settings"]
    assert settings["host"]["value"] == recording.url + "/team/a", "a query may hold a key"
    assert settings["path"]["value"] == "/score"
    files = {path.name: path.read_bytes() for path in summary.parent.rglob("*") if path.is_file()}
    assert [name for name, text in files.items() if b"key=k" in text] == []
    assert "key=k" not in done.stderr + done.stdout


@pytest.mark.parametrize("api", list(APIS))
def test_the_request_of_every_api_is_printed(api: str, data: Path) -> None:
    changes = {"template": '{"a": {{row}}}'} if api == "template" else {}
    text = print_row(settings_of(api=api, data=str(data), **changes), 2)
    (body,) = bodies_of(TABLE.slice(2), api=api, **changes)
    assert body.decode() in text
    assert f"Content-Type: {'text/csv' if api == 'sagemaker-csv' else 'application/json'}" in text


def test_a_request_in_the_binary_form_is_printed_for_a_shell(data: Path) -> None:
    binary = print_row(settings_of(api="open-inference", binary=True, data=str(data)), 2)
    assert "base64 -d | curl" in binary
    assert "Inference-Header-Content-Length: " in binary
