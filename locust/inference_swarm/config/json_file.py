"""config.json in, values by setting name out. All problems of the file are collected, none is guessed away."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from inference_swarm.config.documents import Document, SettingValues
from inference_swarm.config.options import BY_JSON_KEY
from inference_swarm.errors import SettingProblem


def read_json_settings(path: Path, problems: list[SettingProblem]) -> SettingValues:
    """Values of the file by setting name; appends to `problems`. A file that does not exist has no values."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(SettingProblem(f"{path} cannot be read: {error}", expected="a JSON file in UTF-8"))
        return {}
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problems.append(
            SettingProblem(
                f"{path}, line {error.lineno}, column {error.colno}: this is not JSON ({error.msg})",
                expected='an object such as {"users": 50, "wait_time": {"min_seconds": 0.1}}',
                action="fix the line; JSON has no comments and no comma after the last entry",
            )
        )
        return {}
    if not isinstance(document, dict):
        problems.append(
            SettingProblem(f"{path} holds {_type_name(document)}", expected='an object such as {"users": 50}')
        )
        return {}
    values: SettingValues = {}
    for key, value in _flatten(document):
        _take(path, key, value, values, problems)
    return values


def _flatten(document: Document) -> list[tuple[str, object]]:
    """Return values by dotted key. Only known groups are opened, so that a wrong type is named at its own key."""
    groups = {key.partition(".")[0] for key in BY_JSON_KEY if "." in key}
    pairs: list[tuple[str, object]] = []
    for key, value in document.items():
        if key in groups and isinstance(value, dict):
            pairs += [(f"{key}.{inner}", inner_value) for inner, inner_value in value.items()]
        else:
            pairs.append((key, value))
    return pairs


def _take(path: Path, key: str, value: object, values: SettingValues, problems: list[SettingProblem]) -> None:
    option = BY_JSON_KEY.get(key)
    if option is None:
        nearest = difflib.get_close_matches(key, BY_JSON_KEY, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        group = f"an object with {', '.join(k for k in BY_JSON_KEY if k.startswith(key + '.'))}"
        known = group if any(k.startswith(key + ".") for k in BY_JSON_KEY) else "one of " + ", ".join(BY_JSON_KEY)
        problems.append(
            SettingProblem(f"{path}: unknown key {key!r}", expected=known, action=f"{hint}Rename or remove it")
        )
        return
    if value is None:
        return
    try:
        values[option.name] = option.value_type.parse(value)
    except (ValueError, TypeError, OverflowError):
        shown = "something else" if option.is_secret else f"{json.dumps(value)} ({_type_name(value)})"
        problems.append(SettingProblem(f"{path}: {key} is {shown}", expected=option.value_type.expected))


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
