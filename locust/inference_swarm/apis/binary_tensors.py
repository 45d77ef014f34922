"""Open Inference in its binary form: JSON that names the tensors, then their bytes in the order of the inputs. Pure.

The length of the JSON stands in a header of the request. Numbers in it are padded with spaces to the width of the
largest, so that it has one length for all requests, and a head depends on the length of its body alone, as everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from inference_swarm.apis.api import RequestContext
from inference_swarm.apis.binary_cells import (
    fixed_cells,
    length_cells,
    size_cells,
    sized_text_cells,
    text_cells,
    width_of,
)
from inference_swarm.apis.body import RequestFormat, encoder_of
from inference_swarm.apis.datatypes import BYTES, ColumnCheck
from inference_swarm.apis.rows import json_bytes
from inference_swarm.apis.tensors import Matrix, Tensor, null_check
from inference_swarm.data.json_rows import CellEncoder

TEXT_SIZE_DIGITS: Final = 10  # a body has less than 2^31 bytes
_Head = Callable[[int, Sequence[int]], bytes]
"""From the number of rows and the size of each input to the JSON."""


@dataclass(frozen=True, slots=True)
class _Input:
    """An entry of `inputs`. `width`: bytes a row; 0 for text, whose size differs."""

    name: str
    datatype: str
    columns: int
    width: int

    def size_digits(self, batch_size: int) -> int:
        return len(str(self.width * batch_size)) if self.width else TEXT_SIZE_DIGITS


def binary_format(
    before: bytes, after: bytes, tensors: Sequence[Tensor], matrix: Matrix | None, context: RequestContext
) -> RequestFormat:
    """Return the format of requests with these tensors; `before` and `after` stand around the inputs."""
    inputs = [_Input(tensor.name, tensor.datatype, 1, width_of(tensor.datatype)) for tensor in tensors]
    if matrix is not None:
        inputs = [_Input(matrix.name, matrix.datatype, len(tensors), len(tensors) * width_of(matrix.datatype))]
    constants = _constants(before, after, inputs)
    head = _head(constants, inputs, context.batch_size)
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head(1, [0] * len(inputs)))),
    }
    checks = [null_check(tensor, context, is_binary=True) for tensor in tensors]
    if context.batch_size == 1:
        return RequestFormat(_encoder_of_one(constants, inputs, tensors, checks), headers=headers)
    fixed = [number for number, tensor in enumerate(tensors) if tensor.datatype != BYTES]
    texts = [number for number, tensor in enumerate(tensors) if tensor.datatype == BYTES]
    encoders = [
        *(fixed_cells(tensors[number].datatype, checks[number]) for number in fixed),
        *(length_cells(checks[number]) for number in texts),
        *(text_cells for _ in texts),
    ]
    order = [*fixed, *texts, *texts]
    encode = encoder_of((b"",) * (len(order) + 1), order, encoders)
    if matrix is not None:
        return RequestFormat(encode, lambda stored: _joined_matrix(head, stored), headers)
    return RequestFormat(encode, _join(head, [inputs[number].width for number in fixed], fixed, texts), headers)


def _encoder_of_one(
    constants: Sequence[bytes], inputs: Sequence[_Input], tensors: Sequence[Tensor], checks: Sequence[ColumnCheck]
) -> Callable[[pa.Table], Iterator[pa.Array]]:
    """Return an encoder to whole bodies: sizes of texts are cells of the JSON, their lengths and they of the data."""
    fragments, order, encoders = [b""], list[int](), list[CellEncoder]()
    for number, one in enumerate(inputs):
        fragments[-1] += constants[2 * number] + b"1" + constants[2 * number + 1]
        if one.width:
            fragments[-1] += b"%d" % one.width
        else:
            order.append(number)
            encoders.append(size_cells(checks[number], TEXT_SIZE_DIGITS))
            fragments.append(b"")
    fragments[-1] += constants[-1]
    for number, tensor in enumerate(tensors):
        order.append(number)
        is_text = tensor.datatype == BYTES
        encoders.append(sized_text_cells if is_text else fixed_cells(tensor.datatype, checks[number]))
        fragments.append(b"")
    return encoder_of(fragments, order, encoders)


def _joined_matrix(head: _Head, stored: Sequence[bytes]) -> bytes:
    data = b"".join(stored)
    return head(len(stored), [len(data)]) + data


def _join(
    head: _Head, widths: Sequence[int], fixed: Sequence[int], texts: Sequence[int]
) -> Callable[[Sequence[bytes]], bytes]:
    """Return a join of stored rows: cells of fixed width, lengths of texts, texts."""
    cells_of = struct.Struct("".join(f"{width}s" for width in (*widths, *(4 for _ in texts)))).unpack_from
    first_text, count = sum(widths) + 4 * len(texts), len(widths)

    def join(stored: Sequence[bytes]) -> bytes:
        columns = [b""] * (count + len(texts))
        by_column = list(zip(*map(cells_of, stored), strict=True))
        for number, cells in zip(fixed, by_column[:count], strict=True):
            columns[number] = b"".join(cells)
        if texts:
            pieces: list[list[bytes]] = [[] for _ in texts]
            for row, lengths in zip(stored, zip(*by_column[count:], strict=True), strict=True):
                begin = first_text
                for column_pieces, length in zip(pieces, lengths, strict=True):
                    end = begin + int.from_bytes(length, "little")
                    column_pieces += (length, row[begin:end])
                    begin = end
            for number, column_pieces in zip(texts, pieces, strict=True):
                columns[number] = b"".join(column_pieces)
        return head(len(stored), [len(column) for column in columns]) + b"".join(columns)

    return join


def _constants(before: bytes, after: bytes, inputs: Sequence[_Input]) -> list[bytes]:
    """Return what stands around the numbers of the JSON: of each input its rows and its size."""
    constants = [before]
    for number, one in enumerate(inputs):
        constants[-1] += b'%b{"name":%b,"shape":[' % (b"," if number else b"", json_bytes(one.name))
        datatype = json_bytes(one.datatype)
        constants.append(b',%d],"datatype":%b,"parameters":{"binary_data_size":' % (one.columns, datatype))
        constants.append(b"}}")
    constants[-1] += after
    return constants


def _head(constants: Sequence[bytes], inputs: Sequence[_Input], batch_size: int) -> _Head:
    digits = [width for one in inputs for width in (len(str(batch_size)), one.size_digits(batch_size))]
    pattern = constants[0].replace(b"%", b"%%")
    for width, constant in zip(digits, constants[1:], strict=True):
        pattern += b"%%%dd" % width + constant.replace(b"%", b"%%")
    return lambda rows, sizes: pattern % tuple(number for size in sizes for number in (rows, size))
