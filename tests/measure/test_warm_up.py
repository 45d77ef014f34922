from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.measure.warm_up import WarmUp, parse_warm_up


@pytest.mark.parametrize(
    ("text", "warm_up"),
    [
        ("", WarmUp()), (" ", WarmUp()), ("10s", WarmUp(10)), ("1m30s", WarmUp(90)), ("1h", WarmUp(3600)),
        ("10", WarmUp(10)), ("2.5s", WarmUp(2.5)), ("5000 requests", WarmUp(requests=5000)),
        ("1 request", WarmUp(requests=1)),
    ],
)  # fmt: skip
def test_a_warm_up_is_a_time_or_a_number_of_requests(text: str, warm_up: WarmUp) -> None:
    assert parse_warm_up(text) == warm_up


@pytest.mark.parametrize("text", ["fast", "-1s", "requests", "1e3", "s10", "1s1m"])
def test_any_other_text_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(SettingProblem, match=r"--warm-up is .*\n  Expected: a time like 10s"):
        parse_warm_up(text)
