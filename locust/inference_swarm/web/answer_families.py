"""Answers for Prometheus: counters by request name in, metrics out. docs/web-ui.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from inference_swarm.measure.answers import AnswerCounters
from inference_swarm.measure.counters import RequestCounters

_COUNTS: tuple[tuple[str, str, Callable[[AnswerCounters], float]], ...] = (
    ("swarm_answers", "Rows whose answers were looked at.", lambda answers: answers.rows),
    ("swarm_answers_wrong", "Rows with another answer than expected.", lambda answers: answers.wrong),
    (
        "swarm_answers_swapped",
        "Of these, answers that are the right ones of other rows.",
        lambda answers: answers.swapped,
    ),
    ("swarm_answers_unreadable", "Responses without a prediction for each row.", lambda answers: answers.unreadable),
    ("swarm_answers_labelled", "Answers to rows with labels.", lambda answers: answers.quality.labelled),
)
_FIGURES = (
    ("swarm_answer_accuracy", "Share of labelled answers whose class is right.", "accuracy"),
    ("swarm_answer_auc", "Area under the ROC curve of labelled answers.", "auc"),
    ("swarm_answer_log_loss", "Log loss of labelled answers.", "log_loss"),
    ("swarm_answer_mae", "Mean absolute error of labelled answers.", "mae"),
    ("swarm_answer_rmse", "Root of the mean squared error of labelled answers.", "rmse"),
)


def answer_families(names: Mapping[str, RequestCounters]) -> Iterator[Metric]:
    """Yield the metrics of answers, by request name; none where nobody looked at any."""
    looked_at = {name: counters.answers for name, counters in names.items() if counters.answers is not None}
    if not looked_at:
        return
    for metric, words, count in _COUNTS:
        counter = CounterMetricFamily(metric, words, labels=["name"])
        for name, answers in looked_at.items():
            counter.add_metric([name], count(answers))
        yield counter
    for metric, words, figure in _FIGURES:
        gauge = GaugeMetricFamily(metric, words, labels=["name"])
        for name, answers in looked_at.items():
            if (value := getattr(answers.quality, figure)) is not None:
                gauge.add_metric([name], value)
        if gauge.samples:
            yield gauge
