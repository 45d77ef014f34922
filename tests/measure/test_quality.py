"""Figures of predictions against labels: those of the textbooks, whoever counted which row."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_swarm.measure.quality import QualityCounters


def quality_of(*pairs: tuple[Any, Any]) -> QualityCounters:
    quality = QualityCounters()
    quality.add_pairs(pairs)
    return quality


def test_accuracy_is_the_share_of_right_classes() -> None:
    quality = quality_of((0, 0), (1, 1), (1, 0), (0, 1), (1, 1.0))
    assert (quality.accuracy, quality.labelled, quality.correct) == (0.6, 5, 3)
    assert quality_of(("yes", "yes"), ("no", "yes")).accuracy == 0.5
    assert quality_of((3, "3"), ("3", 3), (True, 1), (False, 1)).accuracy == 0.75


def test_a_probability_of_class_1_is_above_one_half_or_not() -> None:
    quality = quality_of((1, 0.51), (1, 0.5), (0, 0.5), (0, 0.9))
    assert quality.accuracy == 0.5
    assert quality.log_loss == pytest.approx(-(math.log(0.51) + 2 * math.log(0.5) + math.log(0.1)) / 4, rel=1e-15)


def test_probabilities_of_three_classes() -> None:
    quality = quality_of((2, [0.2, 0.3, 0.5]), (0, [0.4, 0.5, 0.1]), (1, [0.1, 0.8, 0.1]))
    assert quality.accuracy == 2 / 3
    assert quality.log_loss == pytest.approx(-(math.log(0.5) + math.log(0.4) + math.log(0.8)) / 3, rel=1e-15)
    assert quality.auc is None


def test_numbers_have_errors_and_no_accuracy() -> None:
    quality = quality_of((21.5, 20.0), (10.0, 12.0), (7, 7.5))
    assert quality.is_of_numbers
    assert quality.accuracy is None
    assert quality.mae == pytest.approx(4 / 3)
    assert quality.rmse == pytest.approx(math.sqrt((1.5**2 + 2**2 + 0.5**2) / 3))


def test_classes_that_are_written_as_fractions_have_no_log_loss() -> None:
    """A CSV response has 1.0 for the class 1."""
    quality = quality_of((1, 1.0), (0, 1.0), (0, 0.0))
    assert quality.accuracy == 2 / 3
    assert (quality.log_loss, quality.auc) == (None, None)


def test_rows_without_a_label_and_answers_of_another_kind_count_in_no_figure() -> None:
    quality = quality_of(
        (None, 1), (math.nan, 1), (1, {"class": 1}), ("yes", [0.2, 0.8]), (7, [0.2, 0.8]), (1.5, [1, 0])
    )
    assert (quality.labelled, quality.classified, quality.numbers) == (4, 0, 0)
    assert (quality.accuracy, quality.rmse, quality.auc) == (None, None, None)


def exact_area(pairs: list[tuple[int, float]]) -> float:
    ones = [score for label, score in pairs if label]
    zeros = [score for label, score in pairs if not label]
    above = sum((one > zero) + (one == zero) / 2 for one in ones for zero in zeros)
    return above / (len(ones) * len(zeros))


@pytest.mark.parametrize("spread", [0.3, 1.0, 4.0, 12.0])
def test_the_area_is_within_its_stated_error(spread: float) -> None:
    draw = random.Random(spread)
    pairs = []
    for _ in range(600):
        label = int(draw.random() < 0.3)
        pairs.append((label, 1 / (1 + math.exp(-draw.gauss(label * spread / 2, spread)))))
    for quality in (quality_of(*pairs), quality_of(*((label, [1 - score, score]) for label, score in pairs))):
        assert quality.auc is not None
        assert quality.auc_error is not None
        assert quality.auc_error < 0.005
        assert abs(quality.auc - exact_area(pairs)) <= quality.auc_error + 1e-12


def test_scores_at_the_ends_are_counted() -> None:
    quality = quality_of((1, [0.0, 1.0]), (0, [1.0, 0.0]), (1, [1e-18, 1 - 1e-18]), (0, [1 - 1e-12, 1e-12]))
    assert quality.auc == 1.0
    assert quality.log_loss is not None
    assert quality_of((0, [0.0, 1.0]), (1, [0.5, 0.5])).log_loss == pytest.approx((52 * math.log(2) + math.log(2)) / 2)


PAIRS = st.lists(
    st.tuples(st.sampled_from([0, 1, None]), st.integers(0, 1) | st.floats(0, 1) | st.sampled_from(["1", "x"]))
)


@given(PAIRS, st.lists(st.integers(0, 3), min_size=0, max_size=30))
def test_counts_are_the_same_whoever_counted_which_row(pairs: list[tuple[Any, Any]], owners: list[int]) -> None:
    whole = quality_of(*pairs)
    parts = [QualityCounters() for _ in range(4)]
    for place, pair in enumerate(pairs):
        parts[owners[place % len(owners)] if owners else 0].add_pairs([pair])
    merged = QualityCounters()
    for part in parts:
        merged.add(part)
    for name in ("labelled", "classified", "correct", "numbers", "scored", "scores_0", "scores_1", "accuracy", "auc"):
        assert getattr(merged, name) == getattr(whole, name)
    assert merged.log_loss_sum == pytest.approx(whole.log_loss_sum)
    assert merged.squared_error_sum == pytest.approx(whole.squared_error_sum)
