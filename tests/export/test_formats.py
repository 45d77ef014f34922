"""Numbers as people read them: the same in Python and on the page, whose halves go up."""

from __future__ import annotations

import math

import pytest

from inference_swarm.export.formats import format_count, format_rate, format_us


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(204.5, "205"), (205.5, "206"), (20.25, "20.3"), (5.25, "5.25"), (0.05125, "0.0512"), (99.96, "100"), (0.0, "0"),
     (12345.4, "12,345"), (math.inf, "inf")],
)  # fmt: skip
def test_a_rate_has_three_digits_and_a_half_goes_up(rate: float, shown: str) -> None:
    assert format_rate(rate) == shown


def test_counts_and_times() -> None:
    assert (format_count(0.5), format_count(1_234_567)) == ("1", "1,234,567")
    assert [format_us(us) for us in (412.5, 3_215.0, 1_234_500.0, 120e6, math.nan)] == [
        "413 µs", "3.21 ms", "1.23 s", "120 s", "–",
    ]  # fmt: skip
