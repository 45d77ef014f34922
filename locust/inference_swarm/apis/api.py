"""What an entry of the table of APIs says: how requests to a kind of model server look, and what its responses mean.

An entry is a value without any I/O. `apis/table.py` lists all; `docs/apis.md` shows how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa

from inference_swarm.apis.body import Body, RequestFormat
from inference_swarm.config.documents import ReadDocument
from inference_swarm.config.settings import Settings


class PredMethod(StrEnum):
    """What `--pred-method` means to an API. Where it means nothing, anything but `predict` is refused."""

    QUERY = "the query parameter `method`"
    PARAMETER = "the parameter `method` of the request"
    OUTPUT = "the name of the output that is asked for"
    PATH = "the last part of the path"
    SIGNATURE = "`signature_name`"
    NOT_SENT = "not sent: the server decides"


class Layout(StrEnum):
    """How the predictions lie in a response."""

    LIST = "list"
    """JSON: a list, one entry a row, at the first of `paths` that exists."""
    TENSOR = "tensor"
    """Open Inference: an entry of `outputs`; rows = shape[0], and the rest of the shape is the width of a row."""
    LINES = "lines"
    """Text, a line a row; one line with a cell a row counts as well."""
    NODES = "nodes"
    """JSON: the nodes of a JSONPath, one a row; a single node that is a list holds the predictions itself."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Where the predictions of a response are."""

    layout: Layout = Layout.LIST
    paths: tuple[tuple[str, ...], ...] = ((),)
    """Keys from the root of the body to the list, tried in this order; () is the body itself if it is no object."""
    output: str = ""
    """Name of the tensor; empty: the first."""
    json_path: str = ""
    may_be_scalar: bool = False
    """What is not a list counts as one prediction."""
    are_one: bool = False
    """How many rows a request has is not known: all its predictions, at least one, count as that of one row."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """How a server says that it is ready: status 200 to a GET."""

    path: str = ""
    """With the placeholders of `Api.path`; empty: the API names none."""
    contains: str = ""
    """Text that the body must hold as well."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The run that requests are framed for."""

    schema: pa.Schema
    """Names and types of the columns that are sent."""
    settings: Settings
    params: Mapping[str, Any]
    """`--api-param` without those that the API keeps for itself."""
    own_params: Mapping[str, str]
    """Those of `Api.own_params`, given or by default."""
    batch_size: int = 1
    metadata: tuple[ReadDocument, ...] = ()
    """What the server answered to a GET of `Api.metadata`, each an empty document where it did not."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def params_with_method(self) -> dict[str, Any]:
        """Return the parameters with `--pred-method` among them, if it is set."""
        method = self.settings.pred_method
        return {**({"method": method} if method else {}), **self.params}


def no_query(settings: Settings) -> dict[str, str]:
    """Return no query parameters: the default."""
    return {}


@dataclass(frozen=True, slots=True)
class Api:
    """One kind of model server."""

    name: str
    summary: str
    """Which servers, in a few words; for help and documents."""
    path: str
    """Default path, with `{model}`, `{version}` and `{method}`; what stands in [] only if `--model-version` is set."""
    frame: Callable[[RequestContext], Body | RequestFormat]
    """How the rows of a schema become bodies. Raises DataError for a column that the API cannot carry."""
    predictions: Callable[[Settings], Predictions]
    ready: Readiness = Readiness()
    pred_method: PredMethod = PredMethod.NOT_SENT
    params: str = ""
    """Where `--api-param` goes, in words; empty: nowhere, so that it is refused."""
    own_params: Mapping[str, str] = field(default_factory=dict)
    """Keys of `--api-param` that mean something to the entry itself, with their defaults."""
    rows_param: str = ""
    """That of `own_params` which names the rows, where parameters stand beside them."""
    query: Callable[[Settings], dict[str, str]] = no_query
    metadata: tuple[str, ...] = ()
    """Paths that a worker asks (GET) before it encodes rows, with the placeholders of `path`; they may be missing."""
    content_type: str = "application/json"
    accept: str = "application/json"
    method: str = "POST"
