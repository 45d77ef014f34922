"""`--api-param`: lines of key=value in, JSON values out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inference_swarm.errors import SettingProblem


def parse_params(text: str, own: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the parameters that the API keeps for itself (`own`: their defaults), as text, and those that are sent.

    A value that is JSON is sent as what it says (3, true, "3", [1,2]), any other as text. Raises SettingProblem.
    """
    kept, sent = dict(own), dict[str, Any]()
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            raise SettingProblem(
                f"--api-param has {line!r}",
                expected="key=value, such as method=predict_proba",
                action="correct --api-param or SWARM_API_PARAMS",
            )
        if key in own:
            kept[key] = value
            continue
        try:
            sent[key] = json.loads(value, parse_constant=_no_constant)
        except ValueError:
            sent[key] = value
    return kept, sent


def _no_constant(text: str) -> None:
    raise ValueError(text)
