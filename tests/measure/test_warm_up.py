from __future__ import annotations

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.measure.warm_up import parse_warm_up


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), (" ", 0), ("10s", 10), ("1m30s", 90), ("1h", 3600), ("10", 10), ("2.5s", 2.5)]
)
def test_a_warm_up_is_a_time(text: str, seconds: float) -> None:
    assert parse_warm_up(text) == seconds


@pytest.mark.parametrize("text", ["fast", "-1s", "10 requests", "1e3", "s10", "1s1m"])
def test_any_other_text_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(SettingProblem, match=r"--warm-up is .*\n  Expected: a time like 10s"):
        parse_warm_up(text)
