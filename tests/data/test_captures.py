"""Captures of served traffic: their requests as they were recorded, and what is no request of theirs."""

from __future__ import annotations

import base64
import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from capture_records import SAGEMAKER_EXAMPLE, gateway_row, legacy_row, sagemaker_record, write_lines

from inference_swarm.apis.captured import captured_format
from inference_swarm.apis.table import APIS
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.captures import read_capture
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.manifest_wire import manifest_from_wire, manifest_to_wire
from inference_swarm.data.trace import read_trace
from inference_swarm.errors import DataError

SAGEMAKER, TABLE = "sagemaker-data-capture", "inference-table"
MIB = 2**20
S = 10**9
T = "2022-02-14T17:25:49Z"


def requests_of(manifest: Manifest) -> list[tuple[bytes, str | None]]:
    """Bodies and content types, as a worker reads them."""
    again = manifest_from_wire(manifest_to_wire(manifest))
    tables = [loaded.table for loaded in iter_blocks(again, again.blocks)]
    return [(row["request body"], row["content type"]) for table in tables for row in table.to_pylist()]


def stored(manifest: Manifest, trace_format: str, api: str) -> list[bytes]:
    encode = captured_format(trace_format, APIS[api]).encode
    tables = [loaded.table for loaded in iter_blocks(manifest, manifest.blocks)]
    return [text for table in tables for part in encode(table) for text in part.to_pylist()]


def test_the_example_of_sagemakers_documentation(tmp_path: Path) -> None:
    manifest = read_capture(str(write_lines(tmp_path / "a.jsonl", [SAGEMAKER_EXAMPLE])), SAGEMAKER)
    ((body, content_type),) = requests_of(manifest)
    assert body.startswith(b"69,0,153.7,109,194.0,")
    assert body.endswith(b",1,0,1,0,1,0\n")
    assert content_type == "text/csv"
    assert read_trace(manifest, 1.0, MIB).describe().startswith("1 rows, in the order of time, first at " + T)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_bodies_of_every_encoding_are_what_was_sent(tmp_path: Path, name: str) -> None:
    bodies = [b"1,2\n3,4\n", '{"text": "é \\" \\\\ \U0001f600\t"}'.encode(), bytes(range(256)), b'{ "a" : 1.50 }']
    records = [
        sagemaker_record(bodies[0].decode(), T),
        sagemaker_record(bodies[1].decode(), T, "JSON", "application/json"),
        sagemaker_record(base64.b64encode(bodies[2]).decode(), T, "BASE64", "application/x-npy"),
        sagemaker_record(bodies[3].decode(), T, "JSON", None),
    ]
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    else:
        write_lines(path, records)
    manifest = read_capture(str(path), SAGEMAKER)
    kinds = ["text/csv", "application/json", "application/x-npy", None]
    assert requests_of(manifest) == list(zip(bodies, kinds, strict=True))
    # What is stored ends the head; without a content type of its own a request gets that of the API.
    assert stored(manifest, SAGEMAKER, "sagemaker-csv") == [
        b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % ((kind or "text/csv").encode(), len(body), body)
        for body, kind in zip(bodies, kinds, strict=True)
    ]


def test_a_folder_of_hours_is_one_trace_in_the_order_of_time(tmp_path: Path) -> None:
    hours = {"18/00-a.jsonl": [("3", "18:00:01"), ("2", "18:00:00")], "17/25-b.jsonl": [("0", "17:25:49")]}
    for name, rows in hours.items():
        records = [sagemaker_record(text, f"2022-02-14T{time}Z") for text, time in rows]
        write_lines(tmp_path / "endpoint/AllTraffic/2022/02/14" / name, records)
    for source in (tmp_path, tmp_path / "endpoint/*/2022/02/14/*/*.jsonl"):
        manifest = read_capture(str(source), SAGEMAKER)
        trace = read_trace(manifest, 1.0, MIB)
        bodies = [body for body, _ in requests_of(manifest)]
        assert [bodies[trace.row_of(number)] for number in range(3)] == [b"0", b"2", b"3"]
        assert trace.offsets_ns.tolist() == [0, 2051 * S, 2052 * S]


def test_requests_of_one_recorded_second_are_spread_over_it(tmp_path: Path) -> None:
    seconds = [49, 51, 49, 49, 49, 51]
    path = write_lines(tmp_path / "a.jsonl", [sagemaker_record("1", f"2022-02-14T17:25:{s}Z") for s in seconds])
    trace = read_trace(read_capture(str(path), SAGEMAKER), 2.0, MIB)
    assert trace.offsets_ns.tolist() == [0, S // 8, S // 4, 3 * S // 8, S, 5 * S // 4]
    assert "whole seconds, those of each are spread evenly over it" in trace.describe()
    # Recorded fractions stay what they are.
    rows = [legacy_row("{}", 1714521600000 + ms) for ms in (0, 0, 2000)]
    trace = read_trace(read_capture(str(write_lines(tmp_path / "b.jsonl", rows)), TABLE), 1.0, MIB)
    assert trace.offsets_ns.tolist() == [0, 1, 2 * S]


def test_records_without_a_body_are_counted_and_left_out(tmp_path: Path) -> None:
    output_only = json.loads(SAGEMAKER_EXAMPLE)
    del output_only["captureData"]["endpointInput"]
    records = [sagemaker_record(None, T), output_only, sagemaker_record("", T), sagemaker_record("1", T)]
    path = write_lines(tmp_path / "a.jsonl", records)
    manifest = read_capture(str(path), SAGEMAKER)
    assert (manifest.rows, requests_of(manifest)) == (1, [(b"1", "text/csv")])
    assert manifest.notes == (f"{path}: not sent: 3 of 4 recorded requests, whose bodies the capture does not have",)
    write_lines(path, [output_only])
    with pytest.raises(DataError, match="has 1 records, of which none has the body of its request"):
        read_capture(str(path), SAGEMAKER)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_an_inference_table_of_the_legacy_schema(tmp_path: Path, name: str) -> None:
    first_ms = 1714521600123
    rows = [
        legacy_row('{"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}', first_ms + 250),
        legacy_row(None, first_ms + 100),
        legacy_row('{"inputs":[1.0]}', first_ms, 400),
        legacy_row('{"inputs":[2.0]}', first_ms + 251, 500),
    ]
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    else:
        write_lines(path, rows)
    manifest = read_capture(str(path), TABLE)
    assert [body for body, _ in requests_of(manifest)] == [rows[number]["request"].encode() for number in (0, 2, 3)]
    trace = read_trace(manifest, 1.0, MIB)
    assert [trace.row_of(number) for number in range(3)] == [1, 0, 2]
    assert trace.offsets_ns.tolist() == [0, 250_000_000, 251_000_000]
    assert "(epoch ms)" in trace.describe()
    assert manifest.notes == (
        f"{path}: not sent: 1 of 4 recorded requests, whose bodies the capture does not have",
        f"{path}: sent although their recorded status is not 200: 2 of 3 requests (400: 1, 500: 1)",
    )
    assert stored(manifest, TABLE, "sagemaker-csv")[1] == b'{"inputs":[1.0]}'


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_an_inference_table_of_the_ai_gateway(tmp_path: Path, name: str) -> None:
    begin = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
    times: list[Any] = [begin + datetime.timedelta(microseconds=us) for us in (0, 1500, 1600)]
    path = tmp_path / name
    if path.suffix == ".jsonl":
        times = [time.isoformat() for time in times]
    rows = [gateway_row("{}", times[0]), gateway_row(None, times[1]), gateway_row('{"a":1}', times[2])]
    rows[2]["sampling_fraction"] = 0.25
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write_lines(path, rows)
    manifest = read_capture(str(path), TABLE)
    assert [body for body, _ in requests_of(manifest)] == [b"{}", b'{"a":1}']
    assert read_trace(manifest, 1.0, MIB).offsets_ns.tolist() == [0, 1_600_000]
    assert manifest.notes == (
        f"{path}: not sent: 1 of 3 recorded requests, whose bodies the capture does not have "
        "(MAX_REQUEST_SIZE_EXCEEDED: 1)",
        f"{path}: the capture is a sample (sampling_fraction 0.25): the rate was higher than what is recorded",
    )


def test_the_instants_of_a_table_may_be_in_another_column(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl", [{"event_time": f"2024-05-01T00:00:0{s}Z", "request": "{}"} for s in (2, 0)]
    )
    with pytest.raises(DataError, match="has no timestamp_ms or request_time; it has 'event_time', 'request'"):
        read_capture(str(path), TABLE)
    assert read_trace(read_capture(str(path), TABLE, "event_time"), 1.0, MIB).offsets_ns.tolist() == [0, 2 * S]


def test_a_byte_order_mark_and_empty_lines_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"\ufeff{SAGEMAKER_EXAMPLE}\r\n\r\n{SAGEMAKER_EXAMPLE}", encoding="utf-8")
    assert read_capture(str(path), SAGEMAKER).rows == 2


def changed(**values: Any) -> str:
    return json.dumps(sagemaker_record("1", T) | values)


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        (SAGEMAKER_EXAMPLE[:-9], "it is not JSON", "a JSON object in each line"),
        ("[1]", "it is '[1]', no object", "a JSON object in each line"),
        (changed(captureData="x"), "captureData is 'x', no object", "captureData.endpointInput with data"),
        (json.dumps(sagemaker_record("1", "noon")), "inferenceTime has no instant: it is 'noon'", "ISO 8601"),
        (changed(eventMetadata={}), "inferenceTime has no instant: it is empty", "ISO 8601"),
        (json.dumps(sagemaker_record("=1=", T, "BASE64")), "its data is not BASE64", "in the encoding that it names"),
        (
            json.dumps(sagemaker_record("\ud800", T)),
            "it cannot be read (JSON parse error: The surrogate pair in string is invalid)",
            "captureData.endpointInput with data",
        ),
        (SAGEMAKER_EXAMPLE.replace('"encoding"', '"data":"","encoding"'), "it cannot be read", "captureData.endpoint"),
        ("\ufeff" + SAGEMAKER_EXAMPLE, "it begins with a byte order mark", "no mark between them"),
        (json.dumps(sagemaker_record("1", T, "GZIP")), "encoding is 'GZIP'", "CSV, JSON or BASE64"),
        (json.dumps(sagemaker_record("1", T, "CSV", "a\r\nX: 1")), r"the content type is 'a\r\nX: 1'", "text/csv"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, found: str, expected: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", [SAGEMAKER_EXAMPLE, "", line, SAGEMAKER_EXAMPLE])
    with pytest.raises(DataError) as error:
        read_capture(str(path), SAGEMAKER)
    assert f"{path}, line 3: {found}" in str(error.value)
    assert expected in str(error.value)


def test_the_number_of_a_line_counts_from_the_begin_of_a_large_file(tmp_path: Path) -> None:
    records = [sagemaker_record("1" * 2000, T)] * 1500
    path = write_lines(tmp_path / "a.jsonl", [*records, "{"])
    with pytest.raises(DataError, match="line 1501: it is not JSON"):
        read_capture(str(path), SAGEMAKER)


def test_a_row_of_parquet_that_has_no_instant_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [gateway_row("{}", datetime.datetime(2024, 5, 1)) for _ in range(5)]
    rows[1]["request"] = rows[3]["request_time"] = None
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    with pytest.raises(DataError, match="row 3: request_time has no instant: it is empty"):
        read_capture(str(path), TABLE)


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "a.jsonl"
    packed.write_bytes(gzip.compress(SAGEMAKER_EXAMPLE.encode()))
    with pytest.raises(DataError, match="is compressed with gzip"):
        read_capture(str(packed), SAGEMAKER)
    table = tmp_path / "b.csv"
    table.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match="is a file of the format csv"):
        read_capture(str(table), SAGEMAKER)
    rows = write_lines(tmp_path / "c.jsonl", [{"age": 1}])
    with pytest.raises(DataError, match="has no captureData; it has 'age'"):
        read_capture(str(rows), SAGEMAKER)
    parsed = write_lines(tmp_path / "d.jsonl", [legacy_row("{}", 1) | {"request": {"inputs": [1]}}])
    with pytest.raises(DataError, match=r"line 1: request is .* no text"):
        read_capture(str(parsed), TABLE)
    mixed = tmp_path / "mixed"
    write_lines(mixed / "a.jsonl", [legacy_row("{}", 1)])
    write_lines(mixed / "b.jsonl", [gateway_row("{}", "2024-05-01T00:00:00Z")])
    with pytest.raises(DataError, match=r"has its instants in timestamp_ms \(int64\), .* in request_time \(string\)"):
        read_capture(str(mixed), TABLE)


def test_a_file_of_blank_lines_beside_others_has_no_records(tmp_path: Path) -> None:
    for name, lines in (("a", [""]), ("b", [SAGEMAKER_EXAMPLE]), ("c", ["", " "])):
        write_lines(tmp_path / f"{name}.jsonl", lines)
    manifest = read_capture(str(tmp_path), SAGEMAKER)
    assert [kind for _, kind in requests_of(manifest)] == ["text/csv"]
    assert len(read_trace(manifest, 1.0, MIB)) == 1


def stored_as(values: list[str], kind: pa.DataType) -> pa.Array:
    texts = pa.array(values)
    return texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)


LAYOUTS = [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]


@pytest.mark.parametrize("kind", LAYOUTS, ids=str)
def test_texts_of_every_layout_in_a_capture_of_sagemaker(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {"encoding": ["CSV", "BASE64"], "data": ["1,2", "AP8="], "observedContentType": ["text/csv", "a/b"]}
    sent = pa.StructArray.from_arrays([stored_as(each, kind) for each in columns.values()], names=list(columns))
    table = {
        "eventMetadata": pa.StructArray.from_arrays([stored_as([T, T], kind)], names=["inferenceTime"]),
        "captureData": pa.StructArray.from_arrays([sent], names=["endpointInput"]),
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    manifest = read_capture(str(tmp_path), SAGEMAKER)
    assert requests_of(manifest) == [(b"1,2", "text/csv"), (b"\0\xff", "a/b")]
    assert read_trace(manifest, 1.0, MIB).offsets_ns.tolist() == [0, S // 2]


@pytest.mark.parametrize("kind", LAYOUTS, ids=str)
def test_texts_of_every_layout_in_an_inference_table(tmp_path: Path, kind: pa.DataType) -> None:
    times = stored_as(["2024-05-01T00:00:00Z", "2024-05-01T00:00:02Z"], pa.string() if kind == pa.binary() else kind)
    table = pa.table({"request_time": times, "request": stored_as(["{}", '{"a":1}'], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    # All of a part's requests may be missing; then Arrow knows no type for them.
    pq.write_table(pa.table({"request": pa.nulls(2), "request_time": times}), tmp_path / "b.parquet")
    manifest = read_capture(str(tmp_path), TABLE)
    assert [body for body, _ in requests_of(manifest)] == [b"{}", b'{"a":1}']
    assert read_trace(manifest, 1.0, MIB).offsets_ns.tolist() == [0, 2 * S]
    assert manifest.notes == (
        f"{tmp_path}: not sent: 2 of 4 recorded requests, whose bodies the capture does not have",
    )


def test_numbers_that_another_program_wrote_mean_the_same(tmp_path: Path) -> None:
    begin_ms = 1714521600000
    floats = {"request": ["{}"] * 3, "timestamp_ms": [begin_ms] * 3, "status_code": [200.0, 400.0, None]}
    pq.write_table(pa.table(floats), tmp_path / "a.parquet")
    assert read_capture(str(tmp_path / "a.parquet"), TABLE).notes[0].endswith("is not 200: 1 of 3 requests (400: 1)")
    lines = [legacy_row("{}", begin_ms) | {"sampling_fraction": share} for share in (1, 0.5)]
    (note,) = read_capture(str(write_lines(tmp_path / "b.jsonl", lines)), TABLE).notes
    assert "the capture is a sample (sampling_fraction 0.5)" in note
    share = pa.array([Decimal("0.25")], pa.decimal128(20, 2))
    table = {"request": ["{}"], "timestamp_ms": [begin_ms], "sampling_fraction": share}
    pq.write_table(pa.table(table), tmp_path / "c.parquet")
    (note,) = read_capture(str(tmp_path / "c.parquet"), TABLE).notes
    assert "the capture is a sample (sampling_fraction 0.25)" in note


def test_columns_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    names = ["request", "timestamp_ms", "request"]
    pq.write_table(pa.Table.from_arrays([pa.array(["{}"]), pa.array([1]), pa.array(["[]"])], names=names), path)
    with pytest.raises(DataError, match="has more than one column 'request'"):
        read_capture(str(path), TABLE)
    pq.write_table(pa.table({"request": ["{}"], "timestamp_ms": [1]}), path)
    with pytest.raises(DataError, match="--time-column names 'request', which is what is sent of a record of"):
        read_capture(str(path), TABLE, "request")
    pq.write_table(pa.table({"request": ["{}"], "timestamp_ms": [True]}), path)
    with pytest.raises(DataError, match=r"a\.parquet: the column 'timestamp_ms' has the type bool, which is no time"):
        read_capture(str(path), TABLE)


def test_files_that_change_during_a_run_are_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [sagemaker_record("1", T)])
    manifest = read_capture(str(path), SAGEMAKER)
    write_lines(path, [sagemaker_record("2", T)])
    with pytest.raises(DataError, match="has changed since the run began"):
        requests_of(manifest)
