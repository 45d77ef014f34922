"""Open Inference in its binary form: JSON that names the tensors, then their bytes in the order of the inputs. Pure.

The length of the JSON stands in a header of the request. Numbers in it are padded with spaces to the width of the
largest, so that it has one length for all requests, and a head depends on the length of its body alone, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pyarrow as pa

from inference_swarm.apis.api import RequestContext
from inference_swarm.apis.binary_batches import WIDTHS, join_of_columns, join_of_matrix
from inference_swarm.apis.binary_cells import (
    Octets,
    cells_of,
    fixed_octets,
    side_by_side,
    size_digits,
    size_octets,
    sized_texts,
    width_of,
)
from inference_swarm.apis.body import RequestFormat
from inference_swarm.apis.datatypes import ColumnCheck
from inference_swarm.apis.rows import json_bytes
from inference_swarm.apis.tensors import Matrix, Tensor, null_check
from inference_swarm.data.json_rows import SLICE_ROWS, RowFormat, encode_block
from inference_swarm.data.json_rows_assembly import Texts

TEXT_SIZE_DIGITS: Final = 10  # a body has less than 2^31 bytes


@dataclass(frozen=True, slots=True)
class Input:
    """An entry of `inputs`. `width`: bytes a row; 0 for text, whose size differs."""

    name: str
    datatype: str
    columns: int
    width: int

    def size_digits(self, batch_size: int) -> int:
        return len(str(self.width * batch_size)) if self.width else TEXT_SIZE_DIGITS


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table and how it is sent. `width` 0: as text."""

    number: int
    datatype: str
    width: int
    check: ColumnCheck


def binary_format(
    before: bytes, after: bytes, tensors: Sequence[Tensor], matrix: Matrix | None, context: RequestContext
) -> RequestFormat:
    """Return the format of requests with these tensors; `before` and `after` stand around the inputs."""
    inputs = [Input(tensor.name, tensor.datatype, 1, width_of(tensor.datatype)) for tensor in tensors]
    if matrix is not None:
        inputs = [Input(matrix.name, matrix.datatype, len(tensors), len(tensors) * width_of(matrix.datatype))]
    columns = [
        _Column(number, tensor.datatype, width_of(tensor.datatype), null_check(tensor, context, is_binary=True))
        for number, tensor in enumerate(tensors)
    ]
    constants, batch_size = _constants(before, after, inputs), context.batch_size
    digits = [width for one in inputs for width in (len(str(batch_size)), one.size_digits(batch_size))]
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(sum(map(len, constants)) + sum(digits)),
    }
    if batch_size == 1:
        return RequestFormat(_encoder_of_bodies(constants, inputs, columns), headers=headers)
    if matrix is not None:
        join = join_of_matrix(constants, digits, inputs[0].width)
    else:
        join = join_of_columns(constants, digits, [one.width for one in inputs])
    return RequestFormat(_encoder_of_rows(columns), join, headers)


def _constants(before: bytes, after: bytes, inputs: Sequence[Input]) -> list[bytes]:
    """Return what stands around the numbers of the JSON: of each input its rows and its size."""
    constants = [before]
    for number, one in enumerate(inputs):
        constants[-1] += b'%b{"name":%b,"shape":[' % (b"," if number else b"", json_bytes(one.name))
        datatype = json_bytes(one.datatype)
        constants.append(b',%d],"datatype":%b,"parameters":{"binary_data_size":' % (one.columns, datatype))
        constants.append(b"}}")
    constants[-1] += after
    return constants


def _encoder_of_bodies(
    constants: Sequence[bytes], inputs: Sequence[Input], columns: Sequence[_Column]
) -> Callable[[pa.Table], Iterator[pa.Array]]:
    """Return an encoder to whole bodies: sizes of texts are cells of the JSON; neighbours of one width are one cell."""
    fragments = [b""]
    for number, one in enumerate(inputs):
        fragments[-1] += constants[2 * number] + b"1" + constants[2 * number + 1]
        if one.width:
            fragments[-1] += b"%d" % one.width
        else:
            fragments.append(b"")
    fragments[-1] += constants[-1]
    runs = [list(run) for _, run in groupby(columns, key=lambda column: column.number if not column.width else -1)]

    def cells(block: pa.RecordBatch) -> Iterator[pa.Array]:
        data: list[pa.Array] = []
        for run in runs:
            if run[0].width:
                data.append(cells_of(side_by_side([_octets(block, column) for column in run], block.num_rows)))
            else:
                texts, sizes = sized_texts(block[run[0].number], block.schema.names[run[0].number], run[0].check)
                yield size_digits(sizes, TEXT_SIZE_DIGITS)
                data.append(texts)
        yield from data

    return _encoder_of(tuple(fragments) + (b"",) * len(runs), cells)


def _encoder_of_rows(columns: Sequence[_Column]) -> Callable[[pa.Table], Iterator[pa.Array]]:
    """Return an encoder to what a batch needs: numbers by width, sizes of texts, texts with their lengths."""
    fixed = [column for width in WIDTHS for column in columns if column.width == width]
    texts = [column for column in columns if not column.width]

    def cells(block: pa.RecordBatch) -> Iterator[pa.Array]:
        sized = [sized_texts(block[column.number], block.schema.names[column.number], column.check) for column in texts]
        octets = [*(_octets(block, column) for column in fixed), *(size_octets(sizes) for _, sizes in sized)]
        yield cells_of(side_by_side(octets, block.num_rows))
        yield from (cell for cell, _ in sized)

    return _encoder_of((b"",) * (len(texts) + 2), cells)


def _encoder_of(
    fragments: tuple[bytes, ...], cells: Callable[[pa.RecordBatch], Iterator[pa.Array]]
) -> Callable[[pa.Table], Iterator[pa.Array]]:
    """Return an encoder that puts the fragments around the cells of each row."""
    row_format = RowFormat(fragments, lambda values, _name: Texts(values))

    def encode(table: pa.Table) -> Iterator[pa.Array]:
        for block in table.to_batches(max_chunksize=SLICE_ROWS):
            if block.num_rows:
                made = list(cells(block))
                names = [str(number) for number in range(len(made))]
                yield from encode_block(pa.record_batch(made, names=names), row_format)

    return encode


def _octets(block: pa.RecordBatch, column: _Column) -> Octets:
    return fixed_octets(block[column.number], block.schema.names[column.number], column.datatype, column.check)
