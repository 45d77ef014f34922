"""Twenty public datasets: each row that is printed is the row of the file, whatever the file was written as."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from public_schemas import SCHEMAS, Columns, rows_of

from inference_swarm.config.options import OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.load.print_row import print_row


def write(columns: Columns, folder: Path, form: str) -> Path:
    table = pa.table(columns)
    if form == "arrow":
        feather.write_feather(table, folder / "rows.arrow")
        return folder / "rows.arrow"
    pq.write_table(
        table, folder / "rows.parquet", row_group_size=2, store_schema=form == "parquet with Arrow's schema",
        use_deprecated_int96_timestamps=form == "parquet of old writers",
    )  # fmt: skip
    return folder / "rows.parquet"


def printed_body(data: Path, row: int) -> Any:
    values = {option.name: option.default for option in OPTIONS}
    text = print_row(Settings(**{**values, "host": "http://127.0.0.1:1", "data": str(data)}), row)
    return json.loads(shlex.split(text.splitlines()[-1])[-1])


@pytest.mark.parametrize("form", ["parquet with Arrow's schema", "parquet", "parquet of old writers", "arrow"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_the_printed_row_is_the_row_of_the_file(name: str, form: str, tmp_path: Path) -> None:
    columns = SCHEMAS[name]()
    data = write(columns, tmp_path, form)
    wanted = rows_of(columns)
    printed = [printed_body(data, number) for number in range(len(wanted))]
    if form == "parquet of old writers" and name == "lending_club":  # INT96 has no unit: as many digits as there are
        wanted = [{**row, "earliest_cr_line": (row["earliest_cr_line"] or "")[:26] or None} for row in wanted]
    assert printed == wanted
    assert [list(row) for row in printed] == [list(columns)] * len(printed)
