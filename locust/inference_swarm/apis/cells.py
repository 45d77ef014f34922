"""Cells beside plain JSON: times without a zone, and other values in the place of null. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.config.value_types import split_names
from inference_swarm.data.arrow_types import plain_type, without_zones
from inference_swarm.data.conform import cast
from inference_swarm.data.csv_cells import with_null
from inference_swarm.data.json_rows import CellEncoder
from inference_swarm.data.json_rows_assembly import Texts
from inference_swarm.data.json_rows_texts import texts_of
from inference_swarm.data.lists import without_list_views
from inference_swarm.errors import SettingProblem

Values = TypeVar("Values", pa.Array, pa.ChunkedArray)


def naive_texts_of(values: pa.Array, name: str) -> Texts:
    """JSON texts; a timestamp with a zone is written in UTC and without the `Z`, in lists and structs as well."""
    kind = without_zones(values.type)
    if kind != plain_type(values.type):
        values = cast(without_list_views(values), kind)
    return texts_of(values, name)


def with_nan(encode: CellEncoder) -> CellEncoder:
    """Return an encoder of a fractional column that writes the literal NaN in place of null, NaN and infinity."""

    def texts(values: pa.Array, name: str) -> Texts:
        values = decoded(values)  # else a NaN among the categories is not seen
        return with_null(encode(values, name), values, b"NaN")

    return texts


def decoded(values: Values) -> Values:
    """Return the values of dictionaries, runs and extension types as they are without these."""
    kind = values.type
    if pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        return values.cast(kind.value_type if pa.types.is_dictionary(kind) else kind.storage_type)
    return pc.run_end_decode(values) if pa.types.is_run_end_encoded(kind) else values


def parse_pairs(text: str, flag: str, example: str, names: Iterable[str]) -> dict[str, str]:
    """Return column=value pairs of a setting by the column. Raises SettingProblem for a column that is not sent."""
    known = list(names)
    pairs: dict[str, str] = {}
    for pair in split_names(text):
        name, equals, value = pair.rpartition("=")
        if not equals or not name:
            raise SettingProblem(
                f"{flag} has {pair!r}", expected=f"column=value, such as {example}", action=f"correct {flag}"
            )
        if name not in known:
            raise SettingProblem(
                f"{flag} names {name!r}, which is not sent",
                expected=f"one of {', '.join(map(repr, known[:20]))}",
                action=f"correct {flag}; a renamed column has its new name here",
            )
        if pairs.setdefault(name, value) != value:
            raise SettingProblem(
                f"{flag} names {name!r} twice, with {pairs[name]} and {value}",
                expected="each column once",
                action=f"leave one of them out of {flag}",
            )
    return pairs


def parse_fills(text: str, schema: pa.Schema) -> dict[str, pa.Scalar | None]:
    """Return the value of `--fill-null` for each column that it names; None stands for the literal NaN.

    Raises SettingProblem for a column that is not sent, and for text that is not a value of the column's type.
    """
    fills: dict[str, pa.Scalar | None] = {}
    for name, given in parse_pairs(text, "--fill-null", "age=0", schema.names).items():
        kind = plain_type(schema.field(name).type)
        if pa.types.is_floating(kind) and given.lower() == "nan":
            fills[name] = None
            continue
        try:
            fills[name] = pa.scalar(given).cast(kind)
        except pa.ArrowException as error:
            raise SettingProblem(
                f"--fill-null has {name}={given!r}, and column {name!r} is of the type {kind}",
                expected=f"a value of the type {kind}",
                action="correct --fill-null",
            ) from error
    return fills


def fill(table: pa.Table, fills: Mapping[str, pa.Scalar | None]) -> pa.Table:
    """Return the table with these values in place of null, NaN and infinity."""
    for name, value in fills.items():
        if value is None:
            continue
        number, column = table.schema.get_field_index(name), decoded(table.column(name))
        if column.type != value.type:
            column = column.cast(value.type)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        table = table.set_column(number, name, pc.fill_null(column, value))
    return table
