"""Arrow's five kinds of lists in, offsets and items out; list views, whose parts lie in any order, as lists. Pure.

Values stay in Arrow: Python's times lack nanoseconds and years, and Arrow's own cast of list views and of slices makes
invalid arrays of some, or ends the process (26.0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference_swarm.data.arrow_types import children_of, plain_type
from inference_swarm.data.numpy_values import numpy_of


def is_list_view(kind: pa.DataType) -> bool:
    """Return whether the type is lists whose parts lie in any order."""
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def holds_list_view(kind: pa.DataType) -> bool:
    """Return whether the type is, or holds, lists whose parts lie in any order."""
    return is_list_view(kind) or any(map(holds_list_view, children_of(kind)))


def offsets_and_items(values: pa.Array) -> tuple[NDArray[Any], pa.Array]:
    """Return where each list begins in its items, from 0 on, with their number behind; and the items, in order."""
    kind = values.type
    if is_list_view(kind):
        sizes = np.where(numpy_of(values.is_valid()), numpy_of(values.sizes), 0)
        ends = np.cumsum(sizes, dtype=np.int64)
        first = numpy_of(values.offsets).astype(np.int64) - (ends - sizes)
        order = pa.array(np.arange(ends[-1] if len(ends) else 0) + np.repeat(first, sizes))
        return np.concatenate([[0], ends]), _without_text_views(without_list_views(values.values)).take(order)
    if pa.types.is_fixed_size_list(kind):
        bounds = np.arange(values.offset, values.offset + len(values) + 1, dtype=np.int64) * kind.list_size
    else:
        bounds = numpy_of(values.offsets)
    return bounds - bounds[0], values.values.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))


def without_list_views(values: pa.Array) -> pa.Array:
    """Return the same values as lists."""
    kind = values.type
    if not holds_list_view(kind):
        return values
    if isinstance(kind, pa.BaseExtensionType):
        return without_list_views(values.storage)
    if pa.types.is_struct(kind):
        children = [without_list_views(child) for child in values.flatten()]
        return pa.StructArray.from_arrays(children, [field.name for field in kind], mask=values.is_null())
    if pa.types.is_run_end_encoded(kind):
        rows = np.arange(values.offset, values.offset + len(values))
        runs = np.searchsorted(numpy_of(values.run_ends), rows, side="right")
        return _without_text_views(without_list_views(values.values)).take(pa.array(runs))
    if pa.types.is_map(kind):
        bounds = numpy_of(values.offsets)
        start, length = int(bounds[0]), int(bounds[-1] - bounds[0])
        keys, items = (without_list_views(each.slice(start, length)) for each in (values.keys, values.items))
        return pa.MapArray.from_arrays(pa.array(bounds - bounds[0]), keys, items, mask=values.is_null())
    offsets, items = offsets_and_items(values)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), without_list_views(items), mask=values.is_null())


def _without_text_views(values: pa.Array) -> pa.Array:
    """Return the same values in a type of which Arrow can take some: it has no kernel for views of text and bytes."""
    return pc.cast(values, plain_type(values.type)) if _holds_text_view(values.type) else values


def _holds_text_view(kind: pa.DataType) -> bool:
    is_view = pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)
    return bool(is_view) or any(map(_holds_text_view, children_of(kind)))
