"""Settings in, problems of `--api` and what goes with it out: what can be said before the data are known. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from inference_swarm.apis.api import Api, PredMethod
from inference_swarm.apis.json_path import nodes_of
from inference_swarm.apis.params import parse_params
from inference_swarm.apis.table import api_of
from inference_swarm.apis.template import template_problem
from inference_swarm.config.options import BY_NAME
from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem

# Settings that mean something to one API only; anywhere else they would be dropped in silence.
_OF_ONE_API = {
    "body_format": "invocation",
    "template": "template",
    "predictions": "template",
    "column_types": "open-inference",
    "binary": "open-inference",
}


def api_problems(settings: Settings) -> list[SettingProblem]:
    """Return the problems of `--api` with the settings beside it, of which `template` is the text, not the file."""
    api = api_of(settings)
    return [
        *_of_other_apis(settings),
        *_without_place(settings, api),
        *_params(settings, api),
        *_template(settings),
    ]


def _of_other_apis(settings: Settings) -> Iterator[SettingProblem]:
    for name, api_name in _OF_ONE_API.items():
        option, value = BY_NAME[name], getattr(settings, name)
        if value != option.default and settings.api != api_name:
            yield SettingProblem(
                f"{option.flag} is {str(value)[:100]} and --api is {settings.api}",
                expected=f"{option.flag} only with --api {api_name}",
                action=f"leave {option.flag} out, or choose --api {api_name}",
            )


def _without_place(settings: Settings, api: Api) -> Iterator[SettingProblem]:
    if api.pred_method is PredMethod.NOT_SENT and settings.pred_method not in ("", "predict"):
        yield SettingProblem(
            f"--pred-method is {settings.pred_method} and --api {api.name} has no place for it: the server decides",
            expected="no --pred-method, or predict",
            action="leave it out, and choose on the server what it predicts",
        )
    path = settings.path or api.path
    if settings.model_version and "{version}" not in path:
        yield SettingProblem(
            f"--model-version is {settings.model_version} and the path {path.partition('?')[0]} has no place for it",
            expected="{version} in the path",
            action="leave --model-version out, or give a --path with {version}",
        )
    if settings.api_params and not api.params and not api.own_params:
        yield SettingProblem(
            f"--api-param is given and --api {api.name} has no place for it",
            expected="no --api-param",
            action="leave it out; --api template takes any body",
        )


def _params(settings: Settings, api: Api) -> Iterator[SettingProblem]:
    try:
        own, sent = parse_params(settings.api_params, api.own_params)
    except SettingProblem as problem:
        yield problem
        return
    rows = own.get(api.rows_param)
    if rows in sent:
        yield SettingProblem(
            f"--api-param has {rows!r}, and the rows are sent under that name",
            expected="each key of a request once",
            action=f"leave it out, or name the parameter that takes the rows with --api-param {api.rows_param}=NAME",
        )
    method = settings.pred_method
    if api.pred_method is PredMethod.PARAMETER and method and sent.get("method", method) != method:
        yield SettingProblem(
            f"--pred-method is {method} and --api-param has method={sent['method']}, which go to the same place",
            expected="one of the two",
            action="leave one of them out",
        )


def _template(settings: Settings) -> Iterator[SettingProblem]:
    if settings.api != "template":
        return
    if not settings.template:
        yield SettingProblem(
            "--api is template and there is no --template",
            expected="a file with the JSON of a request",
            action='write one such as {"rows": {{rows}}} and give it with --template',
        )
    elif problem := template_problem(settings.template):
        yield problem
    if settings.predictions:
        try:
            nodes_of(settings.predictions)
        except SettingProblem as problem:
            yield problem
