"""Columns in, the tensors of an Open Inference request out: names, datatypes, and what is not sent as null. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from inference_swarm.apis.api import RequestContext
from inference_swarm.apis.cells import parse_pairs
from inference_swarm.apis.datatypes import BYTES, DATATYPES, ColumnCheck, datatype_of, is_fractional, no_check
from inference_swarm.config.documents import ReadDocument
from inference_swarm.data.arrow_types import has_nulls_noted
from inference_swarm.errors import DataError, SettingProblem

_SERVERS: Final = ("triton", "mlserver", "kserve")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input. `kind` is the Arrow type of the column that it is made of."""

    name: str
    datatype: str
    kind: pa.DataType
    has_nulls: bool = False
    """It is known before its rows are read that some are null."""

    @property
    def is_fractional(self) -> bool:
        return is_fractional(self.datatype)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The one input that all columns go to, side by side."""

    name: str
    datatype: str


def server_of(context: RequestContext) -> str:
    """Return which server it is by its own metadata; empty for one that is not known."""
    told = str(context.metadata[0].get("name", "")).lower() if context.metadata else ""
    return next((name for name in _SERVERS if name in told), "")


def matrix_of(context: RequestContext) -> Matrix | None:
    """Return the matrix that the model takes; None when each column is an input. Raises SettingProblem."""
    inputs = _inputs(context)
    name = context.own_params["matrix"]
    if not name and len(inputs) == 1:
        (only, told), columns = next(iter(inputs.items())), len(context.names)
        shape = told.get("shape")
        if only not in context.names and isinstance(shape, list) and len(shape) == 2 and shape[1] in (columns, -1):
            name = only
    if not name:
        return None
    datatype = _asked_types(context).get(name) or str(inputs.get(name, {}).get("datatype", "")) or "FP64"
    if datatype == BYTES:
        raise SettingProblem(
            f"the input {name!r} is a matrix of BYTES (--column-type, or the server's metadata)",
            expected="a matrix of numbers",
            action=f"give --column-type {name}=FP64, say, or --api template with a body of your own",
        )
    return Matrix(name, _known(datatype, name))


def tensors_of(context: RequestContext, matrix: Matrix | None) -> tuple[Tensor, ...]:
    """Return a tensor for each column. Raises DataError, SettingProblem."""
    asked, inputs = _asked_types(context), _inputs(context)
    tensors: list[Tensor] = []
    for field in context.schema:
        name, kind = field.name, field.type
        own = datatype_of(kind, name)
        if matrix is not None:
            datatype = matrix.datatype
        else:
            datatype = asked.get(name) or str(inputs.get(name, {}).get("datatype", "")) or own
        tensors.append(Tensor(name, _known(datatype, name), kind, has_nulls_noted(field)))
    return tuple(tensors)


def null_check(tensor: Tensor, context: RequestContext, *, is_binary: bool) -> ColumnCheck:
    """Return a check that refuses null where the server would, as the datatype has no value that stands for it.

    KServe takes null in JSON anywhere, others in text; Triton and the binary form nowhere. Raises DataError at once
    where it is known that there are nulls, and which server it is.
    """
    server = server_of(context)
    is_taken = not is_binary and (server == "kserve" or (tensor.datatype == BYTES and server != "triton"))
    if tensor.is_fractional or is_taken:
        return no_check
    who = "the binary form has" if is_binary else f"{server} takes" if server else "most servers take"
    fill = f"--fill-null {tensor.name}={'' if tensor.datatype == BYTES else 0}"
    # Triton takes a datatype of its own model only.
    other = "" if tensor.datatype == BYTES or server == "triton" else f", or --column-type {tensor.name}=FP64"

    refusal = DataError(
        f"Column {tensor.name!r} has a null, and {who} none in {tensor.datatype}.",
        expected="a value in each of its rows, or one to send in place of null.",
        action=f"give {fill}{other}.",
    )
    if tensor.has_nulls and (server or is_binary):
        raise refusal

    def check(values: pa.Array, name: str) -> None:
        if values.null_count:
            raise refusal

    return check


def _asked_types(context: RequestContext) -> dict[str, str]:
    names = (*context.names, context.own_params["matrix"])
    asked = parse_pairs(context.settings.column_types, "--column-type", "age=FP64", filter(None, names))
    return {name: _known(datatype.upper(), name) for name, datatype in asked.items()}


def _known(datatype: str, name: str) -> str:
    if datatype not in DATATYPES:
        raise SettingProblem(
            f"the datatype of {name!r} is {datatype!r} (--column-type, or the server's metadata)",
            expected=f"one of {', '.join(DATATYPES)}",
            action=f"give one of them with --column-type {name}=FP64, say",
        )
    return datatype


def _inputs(context: RequestContext) -> dict[str, ReadDocument]:
    """Return what the server's metadata say of the model's inputs, by name."""
    told = context.metadata[1].get("inputs") if len(context.metadata) > 1 else None
    entries = [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    return {str(entry["name"]): entry for entry in entries if "name" in entry}
