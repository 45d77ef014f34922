"""Any JSON: the body is the text of `--template` with the rows in the places of its placeholders.

Each placeholder is a whole JSON value. The text is taken apart once; encoding goes by column as for every other API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from inference_swarm.apis.api import Api, Layout, Predictions, RequestContext
from inference_swarm.apis.body import Body, Cells, Part
from inference_swarm.apis.rows import object_rows
from inference_swarm.config.settings import Settings
from inference_swarm.data.json_rows import json_keys
from inference_swarm.errors import SettingProblem

_PLACEHOLDER: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_KNOWN: Final = "{{row}}, {{rows}}, {{column:NAME}} or {{columns}}"


def frame(context: RequestContext) -> Body:
    """Return the template's text around the rows. Raises SettingProblem for a placeholder without a column."""
    pieces = _PLACEHOLDER.split(context.settings.template.strip())
    parts: list[Part] = []
    for number, piece in enumerate(pieces):
        parts += _parts_of(piece.strip(), context) if number % 2 else [piece.encode()]
    return Body(tuple(parts))


def _parts_of(placeholder: str, context: RequestContext) -> Sequence[Part]:
    names = context.names
    match placeholder.partition(":"):
        case ("row", "", ""):
            if context.batch_size > 1:
                raise SettingProblem(
                    f"--template has {{{{row}}}} and --batch-size is {context.batch_size}",
                    expected="{{rows}}, a list, where a request has several rows",
                    action="write {{rows}}, or leave --batch-size out",
                )
            return [object_rows(names)]
        case ("rows", "", ""):
            return [b"[", object_rows(names), b"]"]
        case ("columns", "", ""):
            parts: list[Part] = []
            for number, key in enumerate(json_keys(names)):
                parts += [(b"," if number else b"{") + key + b"[", Cells(number), b"]"]
            return [*parts, b"}"]
        case (_, _, name) if name in names:
            return [b"[", Cells(names.index(name)), b"]"]
        case (_, _, name):
            raise SettingProblem(
                f"--template has {{{{column:{name}}}}}, and no column {name!r} is sent",
                expected=f"one of {', '.join(map(repr, names[:20]))}",
                action="correct the template; a renamed column has its new name here",
            )


def template_problem(text: str) -> SettingProblem | None:
    """Return what is wrong with the text of a template, as far as can be said without the columns."""
    placeholders = [found.strip() for found in _PLACEHOLDER.findall(text)]
    unknown = [found for found in placeholders if not re.fullmatch(r"rows?|columns|column:.+", found, re.DOTALL)]
    if unknown or not placeholders:
        return SettingProblem(
            f"--template has {'{{' + unknown[0][:60] + '}}' if unknown else 'no placeholder'}",
            expected=f"JSON with {_KNOWN}",
            action="correct the template",
        )
    try:
        json.loads(_PLACEHOLDER.sub('[""]', text))  # which is a value, and breaks a text that it stands in
    except (ValueError, RecursionError) as error:
        return SettingProblem(
            f"--template is not JSON with its placeholders as values: {error}",
            expected='such as {"rows": {{rows}}, "threshold": 0.5}; a placeholder stands without quotes',
            action="correct the template",
        )
    return None


def predictions(settings: Settings) -> Predictions:
    """Where `--predictions` says; without it a list is expected as the body or under `predictions`."""
    if settings.predictions:
        return Predictions(Layout.NODES, json_path=settings.predictions)
    return Predictions(paths=(("predictions",), ()))


TEMPLATE = Api(
    name="template",
    summary="any server that takes JSON",
    path="",
    frame=frame,
    predictions=predictions,
)
