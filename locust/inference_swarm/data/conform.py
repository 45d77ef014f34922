"""Rows as a file has them in, rows with the dataset's columns and types out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.arrow_types import plain_type
from inference_swarm.data.data_files import PartitionValue
from inference_swarm.data.lists import holds_list_view, without_list_views
from inference_swarm.errors import DataError


class Conformer:
    """Gives the batches of one file exactly these columns, in their types; a dictionary stays one, of such values.

    A column that the file does not have comes from its partition, else it is null.
    """

    def __init__(self, fields: Sequence[pa.Field], partition: Mapping[str, PartitionValue], location: str) -> None:
        self._fields = fields
        self._names = [field.name for field in fields]
        self._partition = partition
        self._location = location
        self._plain: pa.Schema | None = None  # of a batch that was found to be as it should

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch as wanted. Raises DataError for a value that the dataset's type cannot hold."""
        if self._plain is not None and batch.schema.equals(self._plain):
            return batch
        if batch.schema.names == self._names and all(
            _is_of(kind, field.type) for kind, field in zip(batch.schema.types, self._fields, strict=True)
        ):
            self._plain = batch.schema
            return batch
        here = {name: number for number, name in enumerate(batch.schema.names)}
        return pa.RecordBatch.from_arrays([self._column(batch, field, here) for field in self._fields], self._names)

    def _column(self, batch: pa.RecordBatch, field: pa.Field, here: Mapping[str, int]) -> pa.Array:
        if (number := here.get(field.name)) is not None:
            return _with_type(batch.column(number), field, self._location)
        if self._partition.get(field.name) is not None:
            return _constant(self._partition[field.name], field.type, len(batch))
        return pa.nulls(len(batch), field.type)


def check_castable(kind: pa.DataType, field: pa.Field, location: str) -> None:
    """Raise DataError if no value of the type, not even null, becomes one of the field's."""
    _with_type(pa.nulls(1, kind), field, location)


def _is_of(kind: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(kind == wanted or plain_type(kind) == wanted) and not holds_list_view(kind)


def _with_type(values: pa.Array, field: pa.Field, location: str) -> pa.Array:
    if _is_of(values.type, field.type):
        return values
    try:
        return cast(without_list_views(values), field.type)
    except pa.ArrowException as error:
        raise does_not_fit(field, values.type, location, str(error)) from error


def does_not_fit(field: pa.Field, kind: pa.DataType, location: str, reason: str) -> DataError:
    """Return the error for a value that would not be the same in the type that all files have in common."""
    return DataError(
        f"Column {field.name!r} of {without_secrets(location)} is {kind} there and {field.type} in the whole dataset, "
        f"and a value does not fit ({reason}).",
        expected="values that keep their meaning in the type that all files have in common.",
        action="leave the column out with --drop-columns, or write it again in one type.",
    )


def cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the values (of a dictionary, its values) in another type. Raises ArrowException when one does not fit."""
    if isinstance(values.type, pa.BaseExtensionType):
        return cast(values.storage, kind)
    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, cast(values.dictionary, kind))
    if pa.types.is_run_end_encoded(values.type):
        return cast(pc.run_end_decode(values), kind)
    return pc.cast(values, kind)


def _constant(value: PartitionValue, kind: pa.DataType, rows: int) -> pa.Array:
    if rows == 0:
        return pa.nulls(0, kind)
    indices = pa.repeat(pa.scalar(0, pa.int32()), rows)
    return pa.DictionaryArray.from_arrays(indices, pa.array([value], kind))
