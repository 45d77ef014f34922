"""`--api-param`: lines of key=value in, JSON values out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inference_swarm.errors import SettingProblem


def parse_params(text: str, own: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the parameters that the API keeps for itself (`own`: their defaults), as text, and those that are sent.

    A value that is JSON is sent as what it says (3, true, "3", [1,2]), any other as text; one that is kept may be a
    JSON string, as `config.json` gives it. Raises SettingProblem.
    """
    kept, sent, seen = dict(own), dict[str, Any](), set[str]()
    for line in text.split("\n"):  # U+2028 and the like belong to a value
        if not line:
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key:
            raise SettingProblem(
                f"--api-param has {line!r}",
                expected="key=value on one line, such as method=predict_proba",
                action="correct --api-param or SWARM_API_PARAMS",
            )
        if key in seen:
            raise SettingProblem(
                f"--api-param has {key!r} twice",
                expected="each key once",
                action="leave one of them out of --api-param or SWARM_API_PARAMS",
            )
        seen.add(key)
        if key in own:
            kept[key] = _name(key, value)
        else:
            sent[key] = _json_or_text(value)
    return kept, sent


def _name(key: str, value: str) -> str:
    found = _json_or_text(value)
    name = found if isinstance(found, str) else value
    if not name:
        raise SettingProblem(
            f"--api-param has {key} without a name",
            expected=f"a name, such as {key}=rows",
            action="give the name, or leave it out of --api-param or SWARM_API_PARAMS",
        )
    return name


def _json_or_text(value: str) -> Any:
    """Return what the JSON says, or the text itself where it is none that could be sent as it is: NaN, 1e999."""
    try:
        found = json.loads(value)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return value
    return found
