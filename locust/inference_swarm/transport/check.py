"""Decides whether a response is a success: by status, and with `--check-answer` by content. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import orjson

from inference_swarm.errors import SettingProblem

DEFAULT_EXPECTED_STATUS: Final = "2xx"
# Under these names servers of tabular models send their predictions.
PREDICTION_KEYS: Final = ("predictions", "prediction", "outputs", "instances", "result", "results")

ResponseCheck = Callable[[bytes, int], str | None]
"""Takes a body and the number of rows sent; returns what is wrong with it, or None."""


def parse_expected_status(text: str) -> frozenset[int]:
    """The statuses of a setting such as "200", "2xx" or "200,201,4xx". Raises SettingProblem."""
    statuses: set[int] = set()
    for part in (piece.strip().lower() for piece in text.split(",")):
        if re.fullmatch(r"[1-5]xx", part):
            first = int(part[0]) * 100
            statuses.update(range(first, first + 100))
        elif re.fullmatch(r"[1-5][0-9][0-9]", part):
            statuses.add(int(part))
        else:
            raise SettingProblem(
                f"{part!r} in --expect-status {text!r} is not a status.",
                expected='statuses or classes of them with commas between, such as "2xx" or "200,201"',
                action="Correct --expect-status.",
            )
    return frozenset(statuses)


def check_predictions(body: bytes, row_count: int) -> str | None:
    """A ResponseCheck: the body is JSON with as many predictions as rows were sent."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "not JSON"
    predictions = answer
    if isinstance(answer, dict):
        for key in PREDICTION_KEYS:
            if key in answer:
                predictions = answer[key]
                break
        else:
            return "no predictions in it"
    if predictions is None:
        return "no predictions in it"
    count = len(predictions) if isinstance(predictions, list) else 1
    if count != row_count:
        return f"{count} predictions for {row_count} rows"
    return None
