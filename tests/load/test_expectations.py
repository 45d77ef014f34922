"""When a prediction is another than the expected one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.apis.api import Predictions
from inference_swarm.apis.predictions import AnswerError, predictions
from inference_swarm.data.truth import RowTruth
from inference_swarm.load.expectations import Recorded, Remembered, is_same, show_answer
from inference_swarm.measure.quality import QualityCounters


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (1, 1, True),
        (1, 2, False),
        (1, 1.0, True),
        (True, 1, True),
        (0.5, 0.5 + 9e-7, True),
        (0.5, 0.5 + 2e-6, False),
        (1e6, 1e6 + 0.9, True),  # relative above 1
        (1e6, 1e6 + 1.1, False),
        (1_000_000_000, 1_000_000_001, False),  # whole numbers are classes or ids
        ("yes", "yes", True),
        ("yes", "no", False),
        ("1", 1, False),
        ([0.25, 0.75], [0.25, 0.7500001], True),
        ([0.25, 0.75], [0.75, 0.25], False),
        ([0.25, 0.75], [0.25], False),
        ({"p": 0.5}, {"p": 0.5}, True),
        ({"p": 0.5}, {"p": 0.6}, False),
        ({"p": 0.5}, {"q": 0.5}, False),
        (0.5, "0.5", False),
        (0.5, None, False),
    ],
)
def test_predictions_are_the_same_within_the_tolerance(expected: Any, got: Any, same: bool) -> None:
    assert is_same(expected, got, 1e-6) is same
    assert Recorded(1e-6).is_met(3, RowTruth(None, expected), got) is same


def test_a_row_without_a_recorded_answer_is_not_compared() -> None:
    recorded = Recorded(0.0)
    assert recorded.is_met(0, None, 5)
    assert recorded.is_met(0, RowTruth(1, None), 5)
    assert not recorded.is_answer_of(0, None, 5)
    assert not recorded.is_answer_of(0, RowTruth(1, None), 5)


@pytest.mark.parametrize(
    ("first", "close", "other"),
    [
        (0.25, 0.2500001, 0.26),
        (3, 3, 4),
        ([0.1, 0.9], [0.1000001, 0.9], [0.9, 0.1]),
        ("yes", "yes", "no"),
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, {"a": 1, "b": "y"}),
    ],
)
def test_the_first_answer_to_a_row_is_remembered(first: Any, close: Any, other: Any) -> None:
    remembered = Remembered(1e-6)
    for row in (0, 511, 512, 1_000_000):
        assert not remembered.is_answer_of(row, None, first)
        assert remembered.is_met(row, None, first)
        assert remembered.is_met(row, None, close)
        assert not remembered.is_met(row, None, other)
        assert remembered.is_met(row, None, first)  # the wrong one did not take its place
        assert remembered.is_answer_of(row, None, first)


def test_what_is_remembered_takes_8_bytes_a_row() -> None:
    remembered = Remembered(1e-6)
    for row in range(100_000):
        assert remembered.is_met(row, None, row / 3)
    taken = sum(page.itemsize * len(page) for page in remembered._pages.values())
    assert 8 * 100_000 <= taken < 8 * 101_000


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(), max_size=3) | st.integers(-(10**330), 10**330),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(ANY_JSON, ANY_JSON, st.sampled_from([None, 0, 1, 0.5, "a", True]))
def test_whatever_passes_for_a_prediction_can_be_compared_shown_and_counted(
    first: Any, second: Any, label: Any
) -> None:
    try:
        one, other = predictions(Predictions(), json.dumps([first, second]).encode(), 2)
    except AnswerError:
        return
    remembered = Remembered(1e-6)
    assert remembered.is_met(0, None, one)
    assert remembered.is_met(0, None, one)
    remembered.is_met(0, None, other)
    assert Recorded(1e-6).is_met(0, RowTruth(label, one), one)
    Recorded(1e-6).is_met(0, RowTruth(label, one), other)
    assert show_answer(one).encode()
    quality = QualityCounters()
    quality.add_pairs([(label, one), (label, other)])
    assert quality.labelled == (0 if label is None else 2)
