"""Decides whether a response is a success: by status, and with `--check-answer` by content. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from inference_swarm.apis.api import Predictions
from inference_swarm.apis.predictions import AnswerError, reader_of
from inference_swarm.errors import SettingProblem

DEFAULT_EXPECTED_STATUS: Final = "2xx"
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


def check_of(where: Predictions) -> ResponseCheck:
    """Return the check of one API's responses: one prediction for each row, none of them null, NaN or an error."""
    read = reader_of(where)

    def check(body: bytes, row_count: int) -> str | None:
        try:
            read(body, row_count)
        except AnswerError as error:
            return str(error)
        return None

    return check
