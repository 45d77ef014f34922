"""When a response is a success."""

from __future__ import annotations

import pytest

from inference_swarm.apis.table import predictions_of
from inference_swarm.errors import SettingProblem
from inference_swarm.transport.check import check_of, parse_expected_status
from tests.apis.sent_bodies import settings_of


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("2xx", {200, 204, 299}, {199, 300}),
        ("200", {200}, {201}),
        ("200,201", {200, 201}, {202}),
        (" 200 , 4XX ", {200, 400, 499}, {201, 500}),
    ],
)
def test_expected_status(text: str, inside: set[int], outside: set[int]) -> None:
    statuses = parse_expected_status(text)
    assert inside <= statuses
    assert not outside & statuses


@pytest.mark.parametrize("text", ["", "ok", "2x", "99", "600", "200;201", "200,", "6xx", "-200"])
def test_what_is_no_status_is_named(text: str) -> None:
    with pytest.raises(SettingProblem, match="--expect-status"):
        parse_expected_status(text)


@pytest.mark.parametrize(
    ("body", "rows", "problem"),
    [
        (b'{"predictions":[0]}', 1, None),
        (b'{"predictions":[0,1]}', 2, None),
        (b'{"prediction":0.5}', 1, None),
        (b"[1,2,3]", 3, None),
        (b"0.25", 1, None),
        (b'{"predictions":[[0.1,0.9]],"model":"m"}', 1, None),
        (b'{"predictions":[]}', 1, "0 predictions for 1 rows"),
        (b'{"predictions":[0,1]}', 1, "2 predictions for 1 rows"),
        (b'{"predictions":null}', 1, "no predictions in it"),
        (b'{"predictions":[null]}', 1, "null in place of a prediction"),
        (b'{"error":"no"}', 1, "an error in place of predictions"),
        (b"<html>", 1, "not JSON"),
        (b"", 1, "an empty body"),
    ],
)
def test_predictions_of_the_reference_server_are_counted(body: bytes, rows: int, problem: str | None) -> None:
    check = check_of(predictions_of(settings_of()))
    assert check(body, rows) == problem
