"""Captures of served traffic in, the request of each record out: its body, content type and instant. Pure.

Names of fields are from "Capture data from real-time endpoint" (Amazon SageMaker) and from "Inference tables for
monitoring and debugging models" and "Monitor served models using AI Gateway-enabled inference tables" (Databricks).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.config.load_options import INFERENCE_TABLE, SAGEMAKER
from inference_swarm.data.arrow_types import plain_type
from inference_swarm.errors import DataError

# With spaces, which no column of these tables may have.
BODY: Final = "request body"
CONTENT_TYPE: Final = "content type"
CAPTURED: Final = pa.schema([(BODY, pa.large_binary()), (CONTENT_TYPE, pa.string())])
"""What is sent of a record."""
STATUS: Final = "status_code"
ERROR_CODES: Final = "logging_error_codes"
SAMPLING: Final = "sampling_fraction"
REQUEST: Final = "request"
TIME_COLUMNS: Final = ("timestamp_ms", "request_time")
_INFERENCE_TIME: Final = "inferenceTime"
_INPUT: Final = pa.struct([("observedContentType", pa.string()), ("data", pa.string()), ("encoding", pa.string())])
_CAPTURE: Final = pa.schema(
    [
        ("captureData", pa.struct([("endpointInput", _INPUT)])),
        ("eventMetadata", pa.struct([(_INFERENCE_TIME, pa.string())])),
    ]
)
_TEXTS: Final = ("CSV", "JSON")
_BASE64: Final = "BASE64"


class BadRecord(ValueError):
    """A record that is none of its format: its position, what it holds, and what was expected there."""

    def __init__(self, place: int, found: str, expected: str) -> None:
        super().__init__(found)
        self.place = place
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Captured:
    """The requests of some records. A body that was not captured, or was empty, is null."""

    bodies: pa.Array
    content_types: pa.Array
    instants: pa.Array | None


class CaptureFormat(Protocol):
    """One kind of capture."""

    name: str
    record: str
    """What a record is, for messages."""

    def instant_of(self, names: Mapping[str, pa.DataType], time_column: str, shown: str) -> pa.Field:
        """Return the column with the instants, of a file with these columns. Raises DataError."""

    def schema_of(self, instant: pa.Field | None, optional: Mapping[str, pa.DataType]) -> pa.Schema:
        """Return the columns that are read: those of requests, the instants, and of the `optional` ones what it has."""

    def read(self, batch: pa.RecordBatch, instant: str | None) -> Captured:
        """Return the requests of records with those columns. Raises BadRecord."""

    def problem_of(self, record: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a record that Arrow could not read, if anything is."""


class SageMakerCapture:
    """Records of SageMaker's Data Capture."""

    name = SAGEMAKER
    record = "captureData.endpointInput with data and encoding, and eventMetadata.inferenceTime"

    def instant_of(self, names: Mapping[str, pa.DataType], time_column: str, shown: str) -> pa.Field:
        missing = [name for name in _CAPTURE.names if name not in names]
        if missing:
            raise _not_of(self, shown, names, missing[0])
        return pa.field(_INFERENCE_TIME, pa.string())

    def schema_of(self, instant: pa.Field | None, optional: Mapping[str, pa.DataType]) -> pa.Schema:
        return _CAPTURE

    def read(self, batch: pa.RecordBatch, instant: str | None) -> Captured:
        try:
            content_types, data, encodings = (
                pc.struct_field(batch.column("captureData"), ["endpointInput", name])
                for name in ("observedContentType", "data", "encoding")
            )
            instants = pc.struct_field(batch.column("eventMetadata"), _INFERENCE_TIME)
            if not pa.types.is_timestamp(instants.type):
                instants = pc.cast(instants, pa.string())
            data, encodings, content_types = (pc.cast(each, pa.string()) for each in (data, encodings, content_types))
        except (pa.ArrowException, KeyError) as error:
            raise BadRecord(0, f"it has other fields ({error})", self.record) from error
        return Captured(_empty_as_null(_decode(data, encodings)), content_types, instants if instant else None)

    def problem_of(self, record: Mapping[str, Any]) -> str | None:
        captured = record.get("captureData")
        sent = captured.get("endpointInput") if isinstance(captured, dict) else captured
        metadata = record.get("eventMetadata")
        return (
            _unless(dict, "captureData", captured)
            or _unless(dict, "captureData.endpointInput", sent)
            or _unless(dict, "eventMetadata", metadata)
            or next(filter(None, (_unless(str, name, (sent or {}).get(name)) for name in _INPUT.names)), None)
            or _unless(str, _INFERENCE_TIME, (metadata or {}).get(_INFERENCE_TIME))
        )


class InferenceTable:
    """Rows of an inference table of Databricks (MLflow)."""

    name = INFERENCE_TABLE
    record = "request (text), and timestamp_ms or request_time (or what --time-column names)"

    def instant_of(self, names: Mapping[str, pa.DataType], time_column: str, shown: str) -> pa.Field:
        wanted = (time_column,) if time_column else TIME_COLUMNS
        found = next((name for name in wanted if name in names), None)
        if REQUEST not in names:
            raise _not_of(self, shown, names, REQUEST)
        if found is None:
            raise _not_of(self, shown, names, " or ".join(wanted))
        if found == REQUEST or found in CAPTURED.names:
            raise DataError(
                f"--time-column names {found!r}, which is what is sent of a record of {shown}.",
                expected=f"--trace-format {self.name}: {self.record}.",
                action="name the column with the instants.",
            )
        return pa.field(found, plain_type(names[found]))

    def schema_of(self, instant: pa.Field | None, optional: Mapping[str, pa.DataType]) -> pa.Schema:
        fields = [pa.field(REQUEST, optional.get(REQUEST, pa.string())), *([instant] if instant is not None else [])]
        known = {field.name for field in fields}
        also = (STATUS, ERROR_CODES, SAMPLING)
        # 1 in one line and 0.5 in the next are the same kind of number.
        types = {
            name: pa.float64() if name == SAMPLING and pa.types.is_integer(kind) else kind
            for name, kind in optional.items()
        }
        return pa.schema([*fields, *((name, types[name]) for name in also if name in types and name not in known)])

    def read(self, batch: pa.RecordBatch, instant: str | None) -> Captured:
        bodies = _plain(batch.column(REQUEST))
        if not (pa.types.is_string(bodies.type) or pa.types.is_large_string(bodies.type) or _is_binary(bodies.type)):
            raise BadRecord(0, f"request has the type {bodies.type}", "the body as it was sent, as text")
        content_types = pa.nulls(len(batch), pa.string())
        instants = _plain(batch.column(instant)) if instant else None
        return Captured(_empty_as_null(_as_bytes(bodies)), content_types, instants)

    def problem_of(self, record: Mapping[str, Any]) -> str | None:
        return _unless(str, REQUEST, record.get(REQUEST))


FORMATS: Final[Mapping[str, CaptureFormat]] = {each.name: each for each in (SageMakerCapture(), InferenceTable())}


def _decode(data: pa.Array, encodings: pa.Array) -> pa.Array:
    """Return the bytes that texts stand for: themselves, or what is in BASE64."""
    known = pc.is_in(encodings, pa.array([*_TEXTS, _BASE64]))
    wrong = pc.and_(pc.is_valid(data), pc.invert(known))
    if pc.any(wrong).as_py():
        place = pc.index(wrong, True).as_py()
        raise BadRecord(place, f"encoding is {encodings[place].as_py()!r}", "CSV, JSON or BASE64")
    is_packed = pc.fill_null(pc.equal(encodings, _BASE64), False).to_pylist()
    if not any(is_packed):
        return _as_bytes(data)
    bodies: list[bytes | None] = []
    for place, (text, packed) in enumerate(zip(data.to_pylist(), is_packed, strict=True)):
        if text is None or not packed:
            bodies.append(None if text is None else text.encode())
            continue
        try:
            bodies.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            raise BadRecord(place, f"its data is not BASE64 ({error})", "data in the encoding that it names") from error
    return pa.array(bodies, pa.large_binary())


def _plain(values: pa.Array) -> pa.Array:
    """Return values without a dictionary, and texts and bytes of every layout as those that Arrow computes with."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type) or pa.types.is_null(values.type):  # null: of no row there is anything
        return pc.cast(values, pa.string())
    if pa.types.is_binary_view(values.type) or pa.types.is_fixed_size_binary(values.type):
        return pc.cast(values, pa.binary())
    return values


def _as_bytes(texts: pa.Array) -> pa.Array:
    large = texts if _is_binary(texts.type) else pc.cast(texts, pa.large_string())
    return pc.cast(large, pa.large_binary())


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _empty_as_null(bodies: pa.Array) -> pa.Array:
    return pc.if_else(pc.greater(pc.binary_length(bodies), 0), bodies, pa.scalar(None, pa.large_binary()))


def _unless(kind: type, name: str, value: object) -> str | None:
    if value is None or isinstance(value, kind):
        return None
    return f"{name} is {str(value)[:60]!r}, no {'text' if kind is str else 'object'}"


def _not_of(capture: CaptureFormat, shown: str, names: Mapping[str, pa.DataType], missing: str) -> DataError:
    return DataError(
        f"{shown} has no {missing}; it has {', '.join(map(repr, list(names)[:20])) or 'nothing'}.",
        expected=f"--trace-format {capture.name}: {capture.record}.",
        action="name the files of the capture, or another --trace-format.",
    )
