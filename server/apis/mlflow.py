"""MLflow's scoring server: `POST /invocations` with one of four keys, and `params`.

It serves one model a process; here the query names it as at /invocation (`?dataset=&model=`), and `params` or the query
the method.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson

from server.catalog import METHODS, Catalog, check_method
from server.endpoint import ApiResponse, Request, Responding
from server.errors import RequestError
from server.rows import describe, parse_json, rows_from_columns, rows_from_records

PATH = "/invocations"
KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 500: "INTERNAL_ERROR"}


def make_responding(catalog: Catalog) -> Responding:
    """Predictions for the rows of a body."""

    def respond(request: Request) -> ApiResponse:
        if request.header(b"content-type").split(";")[0].strip() != "application/json":
            found = request.header(b"content-type") or "missing"
            raise RequestError(415, f"The Content-Type is {found!r}; expected application/json.")
        query = dict(parse_qsl(request.query.decode("latin-1")))
        model = catalog.select(query.get("dataset"), query.get("model"))
        key, value, params = read_document(parse_json(request.body))
        method = check_method(str(params.get("method") or query.get("method") or METHODS[0]))
        rows = model.encode(read_rows(key, value, model.names))
        return ApiResponse(orjson.dumps({"predictions": model.call(method, rows)}), model=model.name, rows=len(rows))

    return respond


def read_document(document: Any) -> tuple[str, Any, dict[str, Any]]:
    """The one key of the four, its value, and the params."""
    found = [key for key in KEYS if isinstance(document, dict) and key in document]
    if len(found) != 1:
        words = ", ".join(found) or (f"{describe(document)} without any of them")
        raise RequestError(400, f"The body has {words}; expected an object with exactly one of {', '.join(KEYS)}.")
    params = document.get("params") or {}
    if not isinstance(params, dict):
        raise RequestError(400, f'"params" is {describe(params)}; expected an object.')
    return found[0], document[found[0]], params


def read_rows(key: str, value: Any, names: tuple[str, ...]) -> list[list[Any]]:
    """Rows in column order, from one of the four forms. Raises RequestError."""
    where = f'"{key}"'
    if key == "dataframe_split":
        return _from_split(value, names, where)
    if key == "inputs" and isinstance(value, dict):
        columns = {name: cells if isinstance(cells, list) else [cells] for name, cells in value.items()}
        return rows_from_columns(columns, names, where)
    return rows_from_records(value, names, where)


def _from_split(value: Any, names: tuple[str, ...], where: str) -> list[list[Any]]:
    columns = value.get("columns") if isinstance(value, dict) else None
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RequestError(400, f'{where} is {describe(value)}; expected {{"columns": […], "data": [[…]]}}.')
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"{len(row)} values" if isinstance(row, list) else describe(row)
            raise RequestError(400, f"Row {number} of {where} is {found}; expected a list of {len(columns)} values.")
    by_name = {str(name): [row[position] for row in data] for position, name in enumerate(columns)}
    return rows_from_columns(by_name, names, where)


def refuse(status: int, sentence: str) -> ApiResponse:
    """Refuse in MLflow's form: 400 for all that the sender must change, text for another Content-Type."""
    if status == 415:
        return ApiResponse(sentence.encode(), 415)
    mapped = 400 if status == 422 else status
    code = _CODES.get(mapped, "BAD_REQUEST")
    return ApiResponse(orjson.dumps({"error_code": code, "message": sentence}), mapped)
