"""Recorded answers as a parquet file: one prediction a row in, in the order of the dataset, and back.

Its metadata say what was recorded: data, model and API. Predictions stand in a column of their own type where they have
one in common (numbers, texts, lists of numbers), else as JSON. Null: the row's request failed when it was recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from inference_swarm.config.redaction import locations_without_secrets
from inference_swarm.config.settings import Settings
from inference_swarm.data.data_files import DataFile
from inference_swarm.data.manifest import Manifest
from inference_swarm.data.readers import describe_file
from inference_swarm.data.sources import list_files
from inference_swarm.errors import DataError

ROW_COLUMN: Final = "row"
ANSWER_COLUMN: Final = "answer"
_KEY: Final = b"inference_swarm.answers"
_VERSION: Final = 1
_JSON: Final = {b"encoding": b"json"}
_ROW_GROUP_ROWS: Final = 32_768
_MAX_SHOWN: Final = 100
About = Mapping[str, Any]
# What a file is about, in the words of a refusal, and what to do when it differs.
_WORDS: Final = {
    "rows": "rows",
    "data": "data (fingerprint)",
    "columns": "columns that are sent",
    "api": "--api",
    "path": "--path",
    "model": "--model",
    "model_version": "--model-version",
    "method": "--pred-method",
    "api_params": "--api-param",
    "predictions": "--predictions",
    "template": "--template",
}


def about_of(settings: Settings, manifest: Manifest) -> About:
    """Return what answers to these rows, asked for with these settings, are about."""
    return {
        "rows": manifest.rows,
        "data": manifest.fingerprint,
        "columns": list(manifest.schema.names),
        "api": settings.api,
        "path": settings.path.partition("?")[0],
        "model": settings.model,
        "model_version": settings.model_version,
        "method": settings.pred_method,
        "api_params": settings.api_params,
        "predictions": settings.predictions,
        "template": settings.template,
    }


def write_answers(path: Path, about: About, answers: Sequence[object]) -> None:
    """Write the file, whole or not at all. Raises OSError."""
    values, field = _column(answers)
    schema = pa.schema([pa.field(ROW_COLUMN, pa.int64()), field], {_KEY: orjson.dumps({"version": _VERSION, **about})})
    table = pa.table([pa.array(range(len(answers)), pa.int64()), values], schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(table, unfinished, row_group_size=_ROW_GROUP_ROWS, compression="zstd")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def with_answers(manifest: Manifest, location: str, about: About) -> Manifest:
    """Return the manifest with recorded answers. Raises DataError that says in what they are of another run."""
    shown = locations_without_secrets(location)
    files, schema = _describe(location, shown)
    recorded = _about_in(schema, shown)
    differences = [
        f"{words}: {_shown(recorded.get(key))} recorded, {_shown(about[key])} now"
        for key, words in _WORDS.items()
        if recorded.get(key) != about[key]
    ]
    rows = sum(file.rows for file in files)
    if rows != manifest.rows and recorded.get("rows") == about["rows"]:
        differences.insert(0, f"rows: {rows:,} in the file, {manifest.rows:,} in the data")
    if differences:
        raise DataError(
            f"--expect-answers {shown} was recorded of something else: {'; '.join(differences)}.",
            expected="answers to these rows, from this model, through this API.",
            action="name the file that was recorded of them, or record it again with --record-answers.",
        )
    return manifest.with_answers(files, schema.field(ANSWER_COLUMN))


def decode_answers(field: pa.Field, values: pa.ChunkedArray) -> list[Any]:
    """Return the predictions of rows, None where none was recorded."""
    found: list[Any] = values.to_pylist()
    if (field.metadata or {}).get(b"encoding") != b"json":
        return found
    return [None if text is None else orjson.loads(text) for text in found]


def _column(answers: Sequence[object]) -> tuple[pa.Array, pa.Field]:
    if not any(isinstance(answer, dict) for answer in answers):
        try:
            values = pa.array(answers)
        except (pa.ArrowException, OverflowError, TypeError):
            pass
        else:
            if values.to_pylist() == list(answers) and not pa.types.is_null(values.type):
                return values, pa.field(ANSWER_COLUMN, values.type)
    texts = [None if answer is None else json.dumps(answer, separators=(",", ":")) for answer in answers]
    return pa.array(texts, pa.string()), pa.field(ANSWER_COLUMN, pa.string(), metadata=_JSON)


def _describe(location: str, shown: str) -> tuple[tuple[DataFile, ...], pa.Schema]:
    found = [describe_file(file) for file in list_files(location).files]
    schema = found[0].schema
    if len(found) != 1 or ROW_COLUMN not in schema.names or ANSWER_COLUMN not in schema.names:
        raise _not_recorded(shown)
    return tuple(description.file for description in found), schema


def _about_in(schema: pa.Schema, shown: str) -> About:
    try:
        about: About = orjson.loads((schema.metadata or {})[_KEY])
    except (KeyError, ValueError):
        raise _not_recorded(shown) from None
    if about.get("version") != _VERSION:
        raise DataError(
            f"--expect-answers {shown} is of version {about.get('version')!r}.",
            expected=f"version {_VERSION}, which this release writes.",
            action="record it again with --record-answers.",
        )
    return about


def _not_recorded(shown: str) -> DataError:
    return DataError(
        f"--expect-answers {shown} is not a file of recorded answers.",
        expected=f"the parquet file that --record-answers makes, with the columns {ROW_COLUMN} and {ANSWER_COLUMN}.",
        action="record answers first, with the same data, --model and --api; labels are for --labels.",
    )


def _shown(value: object) -> str:
    text = (
        f"{value:,}"
        if isinstance(value, int)
        else ", ".join(value)
        if isinstance(value, list)
        else str(value or "none")
    )
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
