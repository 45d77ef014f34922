"""Arrow values as NumPy has them, without pandas: half a second and tens of MB of each process that reads rows.

pyarrow imports pandas when it makes its first array, to recognize Series, and in every `to_numpy`. Whoever imports
pandas, converts to it or from it later still can: pyarrow then looks again.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


class _NoPandas:
    """An importer that says of pandas alone that it is not there."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out", name="pandas")


_NO_PANDAS: Final[Any] = _NoPandas()


def leave_pandas_out() -> None:
    """Let pyarrow look for pandas now and not find it, unless somebody has imported it already."""
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NO_PANDAS)
    try:
        pa.array([], pa.null())
    finally:
        sys.meta_path.remove(_NO_PANDAS)


def numpy_of(values: pa.Array) -> NDArray[Any]:
    """Return what `to_numpy(zero_copy_only=False)` does: for numbers without nulls a view, not a copy."""
    kind = values.type
    if pa.types.is_boolean(kind) and not values.null_count:
        end = values.offset + len(values)
        octets = _buffer(values, np.uint8)[values.offset // 8 : -(-end // 8)]
        first = values.offset % 8
        return np.unpackbits(octets, bitorder="little")[first : first + len(values)].view(np.bool_)
    if not (pa.types.is_floating(kind) or (pa.types.is_integer(kind) and not values.null_count)):
        return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    numbers = _buffer(values, kind.to_pandas_dtype())[values.offset : values.offset + len(values)]
    if values.null_count:
        numbers = numbers.copy()
        numbers[numpy_of(values.is_null())] = np.nan
    return numbers


def _buffer(values: pa.Array, dtype: Any) -> NDArray[Any]:
    buffer = values.buffers()[1]
    if buffer is None or not buffer.size:
        return np.zeros(values.offset + len(values), dtype)
    return np.frombuffer(buffer, dtype, buffer.size // np.dtype(dtype).itemsize)
