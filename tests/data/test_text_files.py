"""CSV, JSON lines and Arrow files: their rows are sent as they are written, from any block, within bounded memory."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from sent import notes_of, sent_rows

from inference_swarm.data import text_pieces
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.dataset import read_manifest
from inference_swarm.data.text_pieces import iter_pieces
from inference_swarm.errors import DataError

LOCUST = Path(__file__).resolve().parents[2] / "locust"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(str(path))
    return caught.value.found


# --- CSV


@pytest.mark.parametrize(
    ("cells", "sent"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["1", "2.5", "NA"], [1, Decimal("2.5"), None]),
        (["true", "False", ""], [True, False, None]),
        (["007", "1", ""], ["007", "1", None]),
        (["01234.5", "1"], ["01234.5", "1"]),
        (["0.5", "-0.25", "0"], [Decimal("0.5"), Decimal("-0.25"), 0]),
        (["0x1F", "0x20"], ["0x1F", "0x20"]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9223372036854775807", "1"], [9223372036854775807, 1]),
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["9007199254740991", "1.5"], [9007199254740991, Decimal("1.5")]),
        (["1e300", "12345678901234.25"], [Decimal("1e300"), Decimal("12345678901234.25")]),
        (["NA", "DE", '""', ""], ["NA", "DE", "", None]),
        (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        (["2024-01-01 10:00:00", ""], ["2024-01-01 10:00:00", None]),
        (["10:00", "11:00"], ["10:00", "11:00"]),
        (["1", "x"], ["1", "x"]),
        (["true", "1"], ["true", "1"]),
        (['"a, ""b""\nc"', "d"], ['a, "b"\nc', "d"]),
        (["", ""], [None, None]),
        (["NaN", "inf", "1.5"], [None, None, Decimal("1.5")]),
        (["1e400", "1.5"], ["1e400", "1.5"]),
        (["-1e400", "inf", "1.5"], ["-1e400", "inf", "1.5"]),
        (["0.01e-330", "1.5"], ["0.01e-330", "1.5"]),
        (["0e400", "-0.0", ".000"], [0, Decimal("-0.0"), 0]),
    ],
)
def test_csv_values_are_numbers_only_where_nothing_would_change(
    cells: list[str], sent: list[Any], tmp_path: Path
) -> None:
    text = "x,n\n" + "".join(f"{cell},{number}\n" for number, cell in enumerate(cells))
    for number, newline in enumerate(("\n", "\r\n")):
        path = write(tmp_path / f"{number}.csv", text.replace("\n", newline) if '"' not in text else text)
        assert [row["x"] for row in sent_rows(path, block_rows=1)] == sent
        assert [row["n"] for row in sent_rows(path)] == list(range(len(cells)))


def test_the_type_of_a_csv_column_is_that_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", 16)
    monkeypatch.setattr(text_pieces, "MIN_PIECE_ROWS", 1)
    path = write(tmp_path / "1.csv", "a,b\n" + "1,2\n" * 20 + "1.5,x\n")
    rows = sent_rows(path)
    assert rows == [{"a": 1, "b": "2"}] * 20 + [{"a": Decimal("1.5"), "b": "x"}]
    path = write(tmp_path / "2.csv", "a,b\n" + "9007199254740993,2\n" * 20 + "1.5,3\n")
    assert sent_rows(path)[0] == {"a": "9007199254740993", "b": 2}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_first_line(delimiter: str, tmp_path: Path) -> None:
    path = write(tmp_path / "1.csv", f'"a,b;c"{delimiter}d\n1{delimiter}x\n')
    assert sent_rows(path) == [{"a,b;c": 1, "d": "x"}]


def test_a_tab_in_the_first_line_of_a_tsv_file_is_its_delimiter(tmp_path: Path) -> None:
    assert sent_rows(write(tmp_path / "1.TSV", "a,b,c\td\n1,2\t3\n")) == [{"a,b,c": "1,2", "d": 3}]
    assert sent_rows(write(tmp_path / "2.tsv", "a,b\n1,2\n")) == [{"a": 1, "b": 2}]


def test_csv_columns_of_one_name_are_refused_only_if_they_are_sent(tmp_path: Path) -> None:
    path = write(tmp_path / "1.csv", "a,b,a,,\n1,2.5,x,,\n3,4,007,,\n")
    assert sent_rows(path, drop=("a",)) == [{"b": Decimal("2.5")}, {"b": 4}]
    with pytest.raises(DataError, match="column name 'a' occurs 2 times"):
        sent_rows(path)


def test_a_first_line_that_names_the_delimiter_is_no_header(tmp_path: Path) -> None:
    assert sent_rows(write(tmp_path / "1.csv", "sep=;\r\na,b;c\r\n1;x\r\n")) == [{"a,b": 1, "c": "x"}]
    assert sent_rows(write(tmp_path / "2.csv", "sep=\n1\n")) == [{"sep=": 1}]


def test_a_byte_order_mark_is_no_part_of_a_name_and_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert sent_rows(write(tmp_path / "1.csv", b"\xef\xbb\xbfa,b\n1,x")) == [{"a": 1, "b": "x"}]
    assert sent_rows(write(tmp_path / "1.jsonl", b'\xef\xbb\xbf{"a":1}')) == [{"a": 1}]


def test_the_index_that_pandas_writes_into_csv_is_not_sent_and_that_is_said(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2]}).to_csv(tmp_path / "1.csv")
    assert sent_rows(tmp_path) == [{"a": 1}, {"a": 2}]
    assert "is the index of a pandas frame and is not sent" in notes_of(tmp_path)


def test_csv_files_of_a_folder_are_unified_and_partitioned(tmp_path: Path) -> None:
    for key, text in (("1", "a,b\n1,x\n"), ("2", "b,a\ny,2.5\n")):
        (tmp_path / f"k={key}").mkdir()
        write(tmp_path / f"k={key}" / "part.CSV", text)
    assert sent_rows(tmp_path) == [{"a": 1, "b": "x", "k": 1}, {"a": Decimal("2.5"), "b": "y", "k": 2}]


CELLS = st.text(st.sampled_from('ab,"\n\r; é'), max_size=6)


@settings(deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), piece_bytes=st.integers(1, 40))
def test_any_csv_text_comes_back_from_any_cut(
    rows: list[tuple[str, str]], piece_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("x", "y"), *(("x" + one, "y" + other) for one, other in rows)])
    path = write(tmp_path_factory.mktemp("csv") / "1.csv", file.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_pieces, "PIECE_BYTES", piece_bytes)
        patch.setattr(text_pieces, "MIN_PIECE_ROWS", 1)
        sent = [(row["x"][1:], row["y"][1:]) for row in sent_rows(path, block_rows=3)]
    assert sent == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a,b\n1,2,3\n", "cannot be read as CSV with the delimiter ',' from byte 4 on"),
        (b"a,b\n1,\xff\n", "column 'b' holds text that is not UTF-8"),
        (b"\xff\xfea\x00", "is UTF-16 text"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip"),
        (b"a\xff,b\n1,2\n", "begins with bytes that are not UTF-8"),
        (b"a,a\n1,2\n", "column name 'a' occurs 2 times"),
        (b"\n1\n", "has no columns"),
        (b"a,b\n", "has no rows"),
        (b"a,b\r1,2\r", "its first line cannot be read"),
    ],
)
def test_what_is_no_csv_is_refused_in_words(content: bytes, message: str, tmp_path: Path) -> None:
    assert message in refusal(write(tmp_path / "1.csv", content))


def test_a_compressed_text_file_is_refused_in_words(tmp_path: Path) -> None:
    assert "is compressed: it cannot be read from the middle" in refusal(write(tmp_path / "1.csv.gz", b"x"))


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "MAX_ROW_BYTES", 10_000)
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", 1_000)
    path = write(tmp_path / "1.csv", 'a,b\n1,"x\n' + "1,x\n" * 10_000)
    assert "has no end of a row within" in refusal(path)


# --- JSON lines

JSON_LINES: list[dict[str, Any]] = [
    {"a": 1, "b": "2024-01-01T10:00:00Z", "c": [1, 2], "d": {"e": True}, "f": 1.5},
    {"a": None, "b": "é\n\"'", "c": [], "d": {"e": None}, "f": 2},
    {"a": -(2**63), "b": "", "c": None, "d": None, "f": None},
]


def test_json_lines_are_sent_as_they_are_written(tmp_path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in JSON_LINES)
    for block_rows in (1, 2, 100):
        assert sent_rows(write(tmp_path / "1.jsonl", text), block_rows) == JSON_LINES
    assert list(sent_rows(tmp_path / "1.jsonl")[0]) == list("abcdf")


def test_a_key_that_a_row_does_not_have_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", 1)
    monkeypatch.setattr(text_pieces, "MIN_PIECE_ROWS", 1)
    path = write(tmp_path / "1.ndjson", '{"a":1}\n{"b":"x"}\n{"a":2.5,"b":"y"}\n')
    assert sent_rows(path) == [{"a": 1, "b": None}, {"a": None, "b": "x"}, {"a": Decimal("2.5"), "b": "y"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a":1}\n{"a":"x"}\n', "cannot be read as JSON lines from byte 0 on"),
        ('[{"a":1}]', "is one JSON array"),
        ('{"a":12345678901234567890}\n', "has an integer of more than 64 bits at byte 5"),
        ('{"a":1}\n{"a":\n', "cannot be read as JSON lines"),
        # what Arrow takes for a row, or ends the process with
        ('null\n{"a":1}\n', "has a line that is null instead of an object, behind byte 0"),
        ("\n \tnull", "has a line that is null instead of an object, behind byte 0"),
        ('{"a":1}\n null\r\n{"a":2}\n', "has a line that is null instead of an object, behind byte 0"),
        ('{"a":' + "[" * 64 + "1" + "]" * 64 + "}\n", ""),
        ('{"a":' + "[" * 65 + "1" + "]" * 65 + "}\n", "more than 64 deep, in column 'a'"),
        ('{"a":' * 300 + "1" + "}" * 300 + "\n", "more than 64 deep, in column 'a'"),
        ('{"b":1}\n{"a":' + "[ " * 50_000 + "]" * 50_000 + "}\n", "more than 64 deep, at byte 8"),
        ('{"a":"' + "[" * 50_000 + '"}\n', ""),
        (b'{"a":"\xc3\xa9\xe9"}\n', "has bytes that are not UTF-8 at byte 8"),
        (b'{"caf\xe9":1}\n', "has bytes that are not UTF-8 at byte 5"),
    ],
)
def test_what_are_no_json_lines_is_refused_in_words(content: str | bytes, message: str, tmp_path: Path) -> None:
    if not message:
        assert len(sent_rows(write(tmp_path / "1.json", content))) == 1
        return
    assert message in refusal(write(tmp_path / "1.json", content))


@pytest.mark.parametrize("piece_bytes", [1, 1000])
def test_integers_among_fractions_are_not_rounded(
    piece_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(text_pieces, "MIN_PIECE_ROWS", 1)
    path = write(tmp_path / "1.jsonl", '{"a":9007199254740993}\n{"a":1.5}\n')
    assert "'a' has fractions and the integer 9007199254740993, which no double holds" in refusal(path)
    write(path, '{"a":9007199254740992}\n{"a":1.5}\n')
    assert sent_rows(path) == [{"a": 2**53}, {"a": Decimal("1.5")}]
    write(path, '{"a":9007199254740993}\n{"a":1}\n')
    assert sent_rows(path) == [{"a": 2**53 + 1}, {"a": 1}]


@pytest.mark.parametrize("piece_bytes", [1, 1000])
@pytest.mark.parametrize(
    ("lines", "is_refused"),
    [
        ('{"a":[9007199254740993,0.5]}', True),
        ('{"a":[9007199254740992,0.5]}', False),
        ('{"a":{"b":[{"c":9007199254740993}]}}\n{"a":{"b":[{"c":0.5}]}}', True),
        ('{"a":{"b":9007199254740993,"c":0.5}}', False),
        ('{"\\u0061":9007199254740993}\n{"a":0.5}', True),
        ('{"a":9007199254740993}{"a":0.5}', True),
        ('{"a":0.5}\n{"a":1e300}', False),
    ],
)
def test_integers_among_fractions_are_not_rounded_wherever_they_are(
    lines: str, is_refused: bool, piece_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(text_pieces, "MIN_PIECE_ROWS", 1)
    path = write(tmp_path / "1.jsonl", lines + "\n")
    if is_refused:
        assert "'a' has fractions and the integer 9007199254740993, which no double holds" in refusal(path)
    else:
        assert sent_rows(path) == [json.loads(line, parse_float=Decimal) for line in lines.splitlines()]


@pytest.mark.parametrize(
    ("name", "whole", "fraction"),
    [
        ("csv", "a\n9007199254740993\n", "a\n0.5\n"),
        ("jsonl", '{"a":9007199254740993}\n', '{"a":0.5}\n'),
        ("jsonl", '{"a":[{"b":9007199254740993}]}\n', '{"a":[{"b":0.5}]}\n'),
    ],
)
def test_integers_of_one_text_file_are_not_rounded_for_the_fractions_of_another(
    name: str, whole: str, fraction: str, tmp_path: Path
) -> None:
    write(tmp_path / f"1.{name}", whole)
    assert len(sent_rows(tmp_path)) == 1
    write(tmp_path / f"2.{name}", fraction)
    with pytest.raises(DataError, match=r"Column 'a' of .*/1\.\w+ is .*int64.* and a value does not fit"):
        sent_rows(tmp_path)


def test_a_piece_of_long_rows_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", 1000)
    text = b"x" * 499 + b"\n"
    pieces = list(iter_pieces("f", pa.BufferReader(text * 1000), 0, has_quotes=False))
    assert {piece.data.count(b"\n") for piece in pieces[:-1]} == {text_pieces.MIN_PIECE_ROWS}


def test_a_text_that_looks_like_a_long_integer_is_sent(tmp_path: Path) -> None:
    rows = [
        {"a": "x: 12345678901234567890, y", "b": [1.5, 12345678901234568]},
        {"a": "[98765432109876543210]", "b": []},
    ]
    path = write(tmp_path / "1.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert [row["a"] for row in sent_rows(path)] == [row["a"] for row in rows]


def test_a_first_line_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    names = [f"column {number:06d}" for number in range(9000)]
    write(tmp_path / "1.csv", ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert sent_rows(tmp_path) == [dict.fromkeys(names, 1)]


# --- Arrow


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_files_are_sent_batch_by_batch(compression: str | None, tmp_path: Path) -> None:
    table = pa.table(
        {"a": range(50), "s": [f"t{n}" for n in range(50)], "c": pa.array(["x", "y"] * 25).dictionary_encode()}
    )
    feather.write_feather(table, tmp_path / "1.feather", compression=compression or "uncompressed", chunksize=20)
    assert [file.row_group_rows for file in read_manifest(str(tmp_path)).files] == [(20, 20, 10)]
    assert sent_rows(tmp_path) == table.to_pylist()
    assert sent_rows(tmp_path, columns=("c", "a")) == table.select(["c", "a"]).to_pylist()


def test_bytes_in_an_arrow_file_are_looked_at_too(tmp_path: Path) -> None:
    feather.write_feather(pa.table({"x": [b"male", None]}), tmp_path / "1.arrow")
    assert sent_rows(tmp_path) == [{"x": "male"}, {"x": None}]


def test_arrow_streams_and_the_first_version_of_feather_are_refused_in_words(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    with pa.ipc.new_stream(str(tmp_path / "1.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert "is not an Arrow IPC file" in refusal(tmp_path / "1.arrow")
    assert "is a Feather file of version 1" in refusal(write(tmp_path / "2.feather", b"FEA1" + b"\0" * 60))
    feather.write_feather(table, tmp_path / "3.arrow")
    whole = (tmp_path / "3.arrow").read_bytes()
    assert "damaged or was not copied completely" in refusal(write(tmp_path / "4.arrow", whole[:-20]))


# --- all of them


def csv_text(table: pa.Table) -> bytes:
    return table.to_pandas().to_csv(index=False).encode()


def json_text(table: pa.Table) -> bytes:
    return table.to_pandas().to_json(orient="records", lines=True).encode()


def arrow_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.mark.parametrize(("suffix", "content"), [("csv", csv_text), ("jsonl", json_text), ("arrow", arrow_bytes)])
def test_blocks_have_their_rows_and_a_change_is_noticed(
    suffix: str, content: Callable[[pa.Table], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_pieces, "PIECE_BYTES", 2_000)
    table = pa.table({"n": range(1000), "s": [f"text {number}" for number in range(1000)]})
    path = write(tmp_path / f"1.{suffix}", content(table))
    manifest = read_manifest(str(path), block_rows=30)
    assert len(manifest.files[0].row_group_rows) > 5
    for loaded in iter_blocks(manifest, manifest.blocks[::7]):
        first = loaded.block.first_row
        assert loaded.table.to_pylist() == table.slice(first, loaded.block.rows).to_pylist()
    changed = content(table).replace(b"text 999", b"TEXT 999")
    assert read_manifest(str(write(path, changed))).fingerprint != manifest.fingerprint
    write(path, changed + changed[-10:] if suffix == "arrow" else changed)
    with pytest.raises(DataError, match=r"has changed since the run began|damaged"):
        list(iter_blocks(manifest, manifest.blocks))


def test_a_piece_ends_with_a_row_and_all_pieces_are_the_file() -> None:
    text = b'a,"x\ny"\n' * 100 + b"last"
    pieces = list(iter_pieces("f", pa.BufferReader(text), 0, has_quotes=True, piece_bytes=50))
    assert b"".join(piece.data for piece in pieces) == text
    assert all(piece.data.endswith(b'y"\n') for piece in pieces[:-1])
    assert [piece.offset for piece in pieces] == [sum(len(p.data) for p in pieces[:n]) for n in range(len(pieces))]


PEAK = """
import sys
from pathlib import Path
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.dataset import read_manifest

manifest = read_manifest(sys.argv[1])
rows = sum(len(block.table) for block in iter_blocks(manifest, manifest.blocks))
assert rows == manifest.rows == int(sys.argv[2])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak of its memory")
@pytest.mark.parametrize(
    ("name", "header", "row"),
    [("1.csv", "n,text\n", f"17,{'x' * 190}\n"), ("1.jsonl", "", f'{{"n":17,"text":"{"x" * 180}"}}\n')],
)
def test_memory_does_not_grow_with_a_text_file(name: str, header: str, row: str, tmp_path: Path) -> None:
    peaks_mb = []
    for rows in (20_000, 320_000):  # 4 and 64 MB
        path = write(tmp_path / name, header + row * rows)
        command = [sys.executable, "-c", PEAK, str(path), str(rows)]
        found = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(LOCUST)})
        peaks_mb.append(int(found.stdout))
    assert peaks_mb[1] - peaks_mb[0] < 25, peaks_mb
