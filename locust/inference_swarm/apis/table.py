"""The one table of APIs, and what a run's settings make of its entry: path, headers, bodies, predictions. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

import pyarrow as pa

from inference_swarm.apis.api import Api, Predictions, RequestContext
from inference_swarm.apis.azureml import AZUREML
from inference_swarm.apis.bentoml import BENTOML
from inference_swarm.apis.body import Body, RequestFormat, encoders_of, format_of
from inference_swarm.apis.captured import captured_format
from inference_swarm.apis.cells import fill, parse_fills, with_nan
from inference_swarm.apis.invocation import INVOCATION
from inference_swarm.apis.kserve_v1 import KSERVE_V1
from inference_swarm.apis.mlflow import MLFLOW
from inference_swarm.apis.open_inference import OPEN_INFERENCE
from inference_swarm.apis.params import parse_params
from inference_swarm.apis.sagemaker_csv import SAGEMAKER_CSV
from inference_swarm.apis.sagemaker_json import SAGEMAKER_JSON
from inference_swarm.apis.seldon_v1 import SELDON_V1
from inference_swarm.apis.template import TEMPLATE
from inference_swarm.apis.tf_serving import TF_SERVING
from inference_swarm.config.documents import ReadDocument
from inference_swarm.config.load_options import COLUMNS
from inference_swarm.config.settings import Settings
from inference_swarm.data.arrow_types import with_nulls_noted
from inference_swarm.data.columns import check_columns
from inference_swarm.errors import SettingProblem

APIS: Final[dict[str, Api]] = {
    api.name: api
    for api in (
        INVOCATION,
        MLFLOW,
        KSERVE_V1,
        OPEN_INFERENCE,
        SAGEMAKER_CSV,
        SAGEMAKER_JSON,
        BENTOML,
        TF_SERVING,
        AZUREML,
        SELDON_V1,
        TEMPLATE,
    )
}


def api_of(settings: Settings) -> Api:
    """Return the entry that `--api` names."""
    return APIS[settings.api]


def request_path(settings: Settings) -> str:
    """Return path and query of requests, to be put behind the host's own path. Raises SettingProblem."""
    api = api_of(settings)
    path = settings.path or _with_version(api.path, settings)
    path = _filled(path if path.startswith("/") or not path else "/" + path, settings)
    query = urlencode({key: value for key, value in api.query(settings).items() if value}, quote_via=quote)
    return path + ("&" if "?" in path else "?") * bool(query) + query


def ready_path(settings: Settings) -> str:
    """Return the path that says whether the server is ready; empty when the API names none. Raises SettingProblem."""
    return _filled(_with_version(api_of(settings).ready.path, settings), settings)


def predictions_of(settings: Settings) -> Predictions:
    """Return where the predictions of a response are."""
    where = api_of(settings).predictions(settings)
    return where if settings.trace_format == COLUMNS else replace(where, are_one=True)


def metadata_paths(settings: Settings) -> tuple[str, ...]:
    """Return the paths below the host's own that a worker asks before it encodes rows. Raises SettingProblem."""
    if settings.trace_format != COLUMNS:  # nothing is encoded
        return ()
    return tuple(_filled(_with_version(path, settings), settings) for path in api_of(settings).metadata)


def request_format(
    settings: Settings, schema: pa.Schema, batch_size: int = 1, metadata: Sequence[ReadDocument] = ()
) -> RequestFormat:
    """Return how rows of that schema become bodies of at most `batch_size` rows.

    `metadata` are the server's answers to `metadata_paths`, empty documents where there was none. Raises DataError for
    a column that the API cannot carry, SettingProblem for settings that do not fit the columns.
    """
    check_columns(schema.names)
    api = api_of(settings)
    if settings.trace_format != COLUMNS:
        return captured_format(settings.trace_format, api)
    own, params = parse_params(settings.api_params, api.own_params)
    fills = parse_fills(settings.fill_null, schema)
    notes = [with_nulls_noted(field, is_noted=False) if field.name in fills else field for field in schema]
    framed = api.frame(RequestContext(pa.schema(notes), settings, params, own, batch_size, tuple(metadata)))
    if isinstance(framed, Body):
        literal = {name for name, value in fills.items() if value is None}
        encoders = zip(schema.names, encoders_of(framed, len(schema)), strict=True)
        cells = tuple(with_nan(encode) if name in literal else encode for name, encode in encoders)
        framed = format_of(replace(framed, cells=cells), len(schema), batch_size)
    headers = {"Accept": api.accept, "Content-Type": api.content_type, **framed.headers}
    encode = framed.encode
    return replace(framed, headers=headers, encode=lambda table: encode(fill(table, fills)))


def _with_version(path: str, settings: Settings) -> str:
    return re.sub(r"\[(.*?)\]", r"\1" if settings.model_version else "", path)


def _filled(path: str, settings: Settings) -> str:
    """Return the path with model, version and method in their places. Raises SettingProblem."""
    shown = path.partition("?")[0]  # a query may hold a key
    values = {"model": settings.model, "version": settings.model_version, "method": settings.pred_method or "predict"}
    flags = {"model": "--model", "version": "--model-version", "method": "--pred-method"}
    for name, value in values.items():
        if f"{{{name}}}" not in path:
            continue
        if not value:
            place = "" if f"{{{name}}}" in shown else f" and {{{name}}} in its query"
            raise SettingProblem(
                f"--api {settings.api} has the path {shown}{place}, and {flags[name]} is not set",
                expected=f"the {name} that takes the place of {{{name}}}",
                action=f"give {flags[name]}, or the whole path with --path",
            )
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    if unknown := re.search(r"\{\w+\}", path.partition("?")[0]):
        raise SettingProblem(
            f"--path is {shown}, which has {unknown[0]}",
            expected=f"no placeholders but {', '.join(f'{{{name}}}' for name in values)}",
            action="correct --path; braces that belong to the path are written %7B and %7D",
        )
    return path
