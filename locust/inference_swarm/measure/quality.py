"""How good predictions are, against labels: pairs in, counts and sums that merge exactly, figures out. Pure.

Labels that are whole numbers, booleans or texts are classes. A prediction of classes is a class, or the probability of
each class (a list, whose first highest entry is its class), or that of class 1 (a fraction from 0 to 1). Anything else
is a number. The area under the ROC curve is computed from a histogram of scores; its error is known and stated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from pydantic import ConfigDict, Field

from inference_swarm.measure.wire_types import Count, Metric

# Bins of equal width in the log odds of a score, in which scores near 0 and 1 are told apart as well as others.
BINS_PER_UNIT: Final = 128
MAX_LOGIT: Final = 36.0
MAX_BIN: Final = int(2 * MAX_LOGIT * BINS_PER_UNIT)
# scikit-learn clips at the resolution of a double, too.
_LEAST_PROBABILITY: Final = 2.220446049250313e-16
_MAX_SUM: Final = 1e300
Bins = Annotated[dict[str, Count], Field(max_length=MAX_BIN + 1)]


@dataclass(slots=True)
class QualityCounters:
    """Sums over labelled rows. `scores_*` are counts by bin of the score, of rows of class 0 and class 1."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    labelled: Count = 0
    """Rows with a label and an answer."""
    classified: Count = 0
    """Of these, rows of which label and answer could be classes."""
    correct: Count = 0
    numbers: Count = 0
    """Rows of which label and answer are numbers."""
    fractions: Count = 0
    """Of these, those of which one can only be a number, and no class."""
    absolute_error_sum: Metric = 0.0
    squared_error_sum: Metric = 0.0
    scored: Count = 0
    """Rows with a probability of each class."""
    fractional_scores: Count = 0
    """Of these, those that are neither 0 nor 1: without any, they may be classes written as numbers."""
    log_loss_sum: Metric = 0.0
    scores_0: Bins = field(default_factory=dict)
    scores_1: Bins = field(default_factory=dict)

    def add(self, other: QualityCounters) -> None:
        """Merge the counters of other rows."""
        for spec in fields(self):
            mine, others = getattr(self, spec.name), getattr(other, spec.name)
            if isinstance(mine, dict):
                for key, count in others.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                setattr(self, spec.name, mine + others)

    def add_pairs(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Count labels with their predictions. Classes are few, so equal pairs are counted together."""
        same: dict[tuple[Any, Any, type], int] = {}
        for label, prediction in pairs:
            if isinstance(prediction, list) and len(prediction) == 1:
                prediction = prediction[0]
            if isinstance(prediction, list | dict):
                self._add_pair(label, prediction, 1)
            else:
                key = label, prediction, prediction.__class__  # 1 and 1.0 are not the same here
                same[key] = same.get(key, 0) + 1
        for (label, prediction, _), count in same.items():
            self._add_pair(label, prediction, count)

    def _add_pair(self, label: Any, prediction: Any, count: int) -> None:
        if _is_missing(label):
            return
        self.labelled += count
        if isinstance(prediction, list):
            self._add_probabilities(label, prediction)
        elif isinstance(prediction, int | float):
            self._add_number(label, prediction, count)
        elif isinstance(prediction, str):
            self._add_class(_text(label) == prediction or _number(prediction) == label, count)

    def _add_class(self, is_correct: bool, count: int) -> None:
        self.classified += count
        self.correct += is_correct * count

    def _add_number(self, label: Any, prediction: float, count: int) -> None:
        if not isinstance(label, int | float):
            number = _number(label) if isinstance(label, str) else None
            self._add_class(number is not None and number == prediction, count)
            return
        error = abs(float(prediction) - float(label))
        self.numbers += count
        self.absolute_error_sum = min(_MAX_SUM, self.absolute_error_sum + count * error)
        self.squared_error_sum = min(_MAX_SUM, self.squared_error_sum + count * error * error)
        if isinstance(prediction, float) and label in (0, 1) and 0 <= prediction <= 1:
            self._add_score(int(label), prediction, prediction if label == 1 else 1 - prediction, count)
            self._add_class((prediction > 0.5) == (label == 1), count)
        elif prediction == int(prediction) and label == int(label):
            self._add_class(prediction == label, count)
        else:
            self.fractions += count

    def _add_probabilities(self, label: Any, prediction: Sequence[Any]) -> None:
        if not all(isinstance(value, int | float) for value in prediction):
            return
        if not isinstance(label, int | float) or label != int(label) or not 0 <= label < len(prediction):
            return
        chosen, total = int(label), sum(prediction)
        self._add_class(prediction.index(max(prediction)) == chosen, 1)
        if min(prediction) < 0 or not 0.99 < total < 1.01:  # scores of another kind
            return
        self._add_score(chosen if len(prediction) == 2 else None, prediction[1] / total, prediction[chosen] / total, 1)

    def _add_score(self, label: int | None, score: float, probability_of_label: float, count: int) -> None:
        self.scored += count
        self.fractional_scores += count * (0 < score < 1)
        least = max(_LEAST_PROBABILITY, min(1 - _LEAST_PROBABILITY, probability_of_label))
        self.log_loss_sum -= count * math.log(least)
        if label is not None:
            bins, key = (self.scores_1 if label else self.scores_0), str(_bin_of(score))
            bins[key] = bins.get(key, 0) + count

    # figures, None where there is nothing to compute them from

    @property
    def is_of_numbers(self) -> bool:
        """Whether labels and answers are numbers, no classes."""
        return self.fractions > 0

    @property
    def accuracy(self) -> float | None:
        """The share of rows whose class is right."""
        return None if self.is_of_numbers or not self.classified else self.correct / self.classified

    @property
    def log_loss(self) -> float | None:
        """The mean of -log(the probability of the label)."""
        return self.log_loss_sum / self.scored if self._has_scores else None

    @property
    def mae(self) -> float | None:
        """The mean absolute error."""
        return self.absolute_error_sum / self.numbers if self.numbers else None

    @property
    def rmse(self) -> float | None:
        """The root of the mean squared error."""
        return math.sqrt(self.squared_error_sum / self.numbers) if self.numbers else None

    @property
    def auc(self) -> float | None:
        """The area under the ROC curve; the true one differs by `auc_error` at most."""
        found = self._area()
        return None if found is None else found[0]

    @property
    def auc_error(self) -> float | None:
        """How far the true area may be from `auc`: rows of both classes in one bin may be in either order."""
        found = self._area()
        return None if found is None else found[1]

    @property
    def _has_scores(self) -> bool:
        return self.fractional_scores > 0 and not self.is_of_numbers

    def _area(self) -> tuple[float, float] | None:
        zeros, ones = sum(self.scores_0.values()), sum(self.scores_1.values())
        if not (self._has_scores and zeros and ones):
            return None
        counts = np.zeros((2, MAX_BIN + 1), dtype=np.float64)
        for line, bins in enumerate((self.scores_0, self.scores_1)):
            for key, count in bins.items():
                counts[line, min(MAX_BIN, int(key))] = count
        below = np.cumsum(counts[0]) - counts[0]
        in_one_bin = float((counts[0] * counts[1]).sum())
        area = float((counts[1] * below).sum()) + in_one_bin / 2
        return area / (zeros * ones), in_one_bin / 2 / (zeros * ones)


def _bin_of(score: float) -> int:
    if score <= 0:
        return 0
    logit = math.log(score) - math.log1p(-score) if score < 1 else MAX_LOGIT
    return round((max(-MAX_LOGIT, min(MAX_LOGIT, logit)) + MAX_LOGIT) * BINS_PER_UNIT)


def _is_missing(label: Any) -> bool:
    return label is None or label != label


def _text(label: Any) -> str | None:
    return label if isinstance(label, str) else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
