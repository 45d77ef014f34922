"""Decides whether a response is a success: by status, and with `--check-answer` by content. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Final, Protocol

from inference_swarm.apis.api import Predictions
from inference_swarm.apis.predictions import AnswerError, reader_of
from inference_swarm.errors import SettingProblem

DEFAULT_EXPECTED_STATUS: Final = "2xx"
ResponseCheck = Callable[[bytes, int], str | None]
"""Takes a body and the number of rows sent; returns what is wrong with it, or None."""


class AnswerChecks(Protocol):
    """Looks at the answers to requests whose rows are known. A request is known by its identity while it is under way.

    Everything is called after the instant at which a response was whole, so that it is in nobody's latency.
    """

    @property
    def asked(self) -> Container[int]:
        """`id` of the requests under way whose answers are looked at."""

    def accepts(self, request: bytes, body: bytes, sent_ns: int, done_ns: int) -> bool:
        """Note the answer to a request in `asked` if it is right; nothing is noted, or forgotten, if it is not."""

    def check_of(self, request: bytes, intended_ns: int, sent_ns: int, done_ns: int) -> ResponseCheck | None:
        """Return the check of the response to this request, which notes the answer; None: nobody looks at it."""

    def sent_as(self, request: bytes, sent: bytes) -> None:
        """The request goes out with other headers, as another object."""

    def forget(self, request: bytes) -> None:
        """The request is not under way any more, or never was."""


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
