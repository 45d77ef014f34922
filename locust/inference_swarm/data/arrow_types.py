"""Arrow types in, types out: a column's type apart from its encoding, and what several files share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import pyarrow as pa

from inference_swarm.errors import DataError

_NULLS: Final = {b"has_nulls": b"yes"}
# Levels of lists, structs and maps in each other: Arrow's messages between processes hold some 100.
MAX_NESTING: Final = 64


def with_nulls_noted(field: pa.Field, *, is_noted: bool = True) -> pa.Field:
    """Return the field with or without the note that some of its values are null."""
    return field.with_metadata(_NULLS if is_noted else None)


def has_nulls_noted(field: pa.Field) -> bool:
    """Return whether it is known that some values are null."""
    return bool((field.metadata or {}).get(b"has_nulls"))


@lru_cache(maxsize=4096)
def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type without what is irrelevant to a request: dictionaries, runs, views, widths of offsets."""
    return _map_leaves(kind, lambda leaf: leaf)


def text_type(kind: pa.DataType) -> pa.DataType:
    """Return the type with text in place of all binary values."""
    return _map_leaves(kind, lambda leaf: pa.string() if is_binary(leaf) else leaf)


def with_text_for_times(kind: pa.DataType) -> pa.DataType:
    """Return the type with text in place of all dates and times."""
    return _map_leaves(kind, lambda leaf: pa.string() if pa.types.is_temporal(leaf) else leaf)


def with_timestamp_unit(kind: pa.DataType, unit: str) -> pa.DataType:
    """Return the type with all timestamps in the given unit."""
    return _map_leaves(kind, lambda leaf: pa.timestamp(unit, leaf.tz) if pa.types.is_timestamp(leaf) else leaf)


@lru_cache(maxsize=4096)
def without_zones(kind: pa.DataType) -> pa.DataType:
    """Return the plain type with no time zone in any timestamp."""
    return _map_leaves(kind, lambda leaf: pa.timestamp(leaf.unit) if pa.types.is_timestamp(leaf) else leaf)


def is_binary(kind: pa.DataType) -> bool:
    """Return whether the type is bytes of any width, without a meaning of its own, such as a UUID."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def holds_binary(kind: pa.DataType) -> bool:
    """Return whether some value of the type is bytes."""
    is_changed: bool = text_type(kind) != plain_type(kind)
    return is_changed


def check_nesting(schema: pa.Schema, location: str) -> None:
    """Raise DataError for a column whose types are nested too deeply to be sent to a worker."""
    for field in schema:
        if _is_deeper(field.type, MAX_NESTING):
            raise too_deep(location, f"in column {field.name!r}", MAX_NESTING)


def too_deep(location: str, where: str, most: int) -> DataError:
    """Return the error for values that are nested too deeply."""
    return DataError(
        f"{location} has lists or objects in each other more than {most} deep, {where}.",
        expected=f"at most {most} levels.",
        action="leave the column out and write the file again, or write the value as text.",
    )


def _is_deeper(kind: pa.DataType, levels: int) -> bool:
    children = children_of(kind)
    return bool(children) and (levels == 0 or any(_is_deeper(child, levels - 1) for child in children))


def children_of(kind: pa.DataType) -> list[pa.DataType]:
    """Return the types of what is inside of a value; of dictionaries and runs that of the values."""
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return [kind.value_type]
    return [kind.field(number).type for number in range(kind.num_fields)] if pa.types.is_nested(kind) else []


def holds_floating(kind: pa.DataType) -> bool:
    """Return whether the type is, or holds, binary fractions."""
    return bool(pa.types.is_floating(kind)) or any(map(holds_floating, children_of(kind)))


def makes_doubles(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether integers, here or inside, are fractions in the other type; both are plain types."""
    if pa.types.is_integer(kind):
        return bool(pa.types.is_floating(wanted))
    if pa.types.is_struct(kind) and pa.types.is_struct(wanted):
        there = {field.name: field.type for field in wanted}
        return any(field.name in there and makes_doubles(field.type, there[field.name]) for field in kind)
    return is_list(kind) and is_list(wanted) and makes_doubles(kind.value_type, wanted.value_type)


def extension_name(field: pa.Field) -> str:
    """Return the name of a field's extension type, also of one that Arrow does not know; empty for other types."""
    if isinstance(field.type, pa.BaseExtensionType):
        return str(field.type.extension_name)
    name: bytes = (field.metadata or {}).get(b"ARROW:extension:name", b"")
    return name.decode(errors="replace")


def lost_meaning(kind: pa.DataType) -> str:
    """Return the name of a type, here or inside, whose stored values are not what it means; empty if there is none."""
    if isinstance(kind, pa.BaseExtensionType):
        name = kind.extension_name
        if name == "arrow.variable_shape_tensor" or (name == "arrow.fixed_shape_tensor" and len(kind.shape) > 1):
            return "tensor"
        return lost_meaning(kind.storage_type)
    if not pa.types.is_nested(kind):
        return ""
    fields = [kind.field(number) for number in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        binaries = {field.name for field in fields if is_binary(field.type)}
        if {"metadata"} <= binaries <= {field.name for field in fields} <= {"metadata", "value", "typed_value"}:
            return "VARIANT"
    return next((name for field in fields if (name := lost_meaning(field.type))), "")


def unify_types(name: str, kinds: Mapping[pa.DataType, str]) -> pa.DataType:
    """Return the type that holds the values of all these plain types; `kinds` says in which file each was seen.

    Raises DataError, which names two files, where no type does.
    """
    merged: pa.DataType | None = None
    for kind, location in kinds.items():
        if merged is None:
            merged = kind
            continue
        try:
            _common_type(_map_leaves(merged, _bytes_apart), _map_leaves(kind, _bytes_apart))
            merged = _common_type(merged, kind)
        except pa.ArrowException as error:
            raise _incompatible(name, kinds, location) from error
    assert merged is not None
    return merged


def _common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    schemas = [pa.schema([pa.field("x", kind)]) for kind in (one, other)]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


def _bytes_apart(leaf: pa.DataType) -> pa.DataType:
    """Return a type that Arrow does not mix with text: of text and bytes it would make bytes."""
    return pa.duration("s") if is_binary(leaf) else leaf


def _incompatible(name: str, kinds: Mapping[pa.DataType, str], location: str) -> DataError:
    (first, first_location), *_ = kinds.items()
    other = next(kind for kind, where in kinds.items() if where == location and kind != first)
    return DataError(
        f"{location} has other columns than {first_location}: it has {name!r} as {other} instead of {first}.",
        expected="types that can be widened to a common one, such as int64 and double, in all files of a dataset.",
        action="write the files again with one schema, or name only those that belong together.",
    )


def _map_leaves(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return _map_leaves(kind.value_type, change)
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.bool8":
            return pa.bool_()
        return kind if kind.extension_name == "arrow.uuid" else _map_leaves(kind.storage_type, change)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return change(pa.binary())
    if types.is_struct(kind):
        return pa.struct([_field(kind.field(number), change) for number in range(kind.num_fields)])
    if types.is_map(kind):
        return pa.map_(_map_leaves(kind.key_type, change), _map_leaves(kind.item_type, change))
    if is_list(kind):
        return pa.list_(_map_leaves(kind.value_type, change))
    return change(kind)


def _field(field: pa.Field, change: Callable[[pa.DataType], pa.DataType]) -> pa.Field:
    return pa.field(field.name, _map_leaves(field.type, change))


def is_list(kind: pa.DataType) -> bool:
    """Return whether the type is a list of any kind."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )
