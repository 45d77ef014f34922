"""The one table of APIs, and what a run's settings make of its entry: path, headers, bodies, predictions. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

import pyarrow as pa

from inference_swarm.apis.api import Api, Predictions, RequestContext
from inference_swarm.apis.body import Body, RequestFormat, format_of, with_headers
from inference_swarm.apis.invocation import INVOCATION
from inference_swarm.apis.params import parse_params
from inference_swarm.config.settings import Settings
from inference_swarm.data.columns import check_columns
from inference_swarm.errors import SettingProblem

APIS: Final[dict[str, Api]] = {api.name: api for api in (INVOCATION,)}


def api_of(settings: Settings) -> Api:
    """Return the entry that `--api` names."""
    return APIS[settings.api]


def request_path(settings: Settings) -> str:
    """Return path and query of requests, to be put behind the host's own path. Raises SettingProblem."""
    api = api_of(settings)
    path = settings.path or _with_version(api.path, settings)
    path = _filled(path if path.startswith("/") else "/" + path, settings)
    query = urlencode({key: value for key, value in api.query(settings).items() if value}, quote_via=quote)
    return path + ("&" if "?" in path else "?") * bool(query) + query


def ready_path(settings: Settings) -> str:
    """Return the path that says whether the server is ready; empty when the API names none. Raises SettingProblem."""
    return _filled(_with_version(api_of(settings).ready.path, settings), settings)


def predictions_of(settings: Settings) -> Predictions:
    """Return where the predictions of a response are."""
    return api_of(settings).predictions(settings)


def request_format(settings: Settings, schema: pa.Schema, batch_size: int = 1) -> RequestFormat:
    """Return how rows of that schema become bodies of at most `batch_size` rows.

    Raises DataError for a column that the API cannot carry, SettingProblem for settings that do not fit the columns.
    """
    check_columns(schema.names)
    api = api_of(settings)
    own, params = parse_params(settings.api_params, api.own_params)
    framed = api.frame(RequestContext(schema, settings, params, own, batch_size))
    made = format_of(framed, len(schema), batch_size) if isinstance(framed, Body) else framed
    return with_headers(made, {"Accept": api.accept, "Content-Type": api.content_type})


def _with_version(path: str, settings: Settings) -> str:
    return re.sub(r"\[(.*?)\]", r"\1" if settings.model_version else "", path)


def _filled(path: str, settings: Settings) -> str:
    """Return the path with model, version and method in their places."""
    values = {"model": settings.model, "version": settings.model_version, "method": settings.pred_method or "predict"}
    flags = {"model": "--model", "version": "--model-version", "method": "--pred-method"}
    for name, value in values.items():
        if f"{{{name}}}" not in path:
            continue
        if not value:
            raise SettingProblem(
                f"--api {settings.api} has the path {path}, and {flags[name]} is not set",
                expected=f"the {name} that takes the place of {{{name}}}",
                action=f"give {flags[name]}, or the whole path with --path",
            )
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path
