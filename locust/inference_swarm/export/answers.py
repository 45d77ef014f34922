"""Answers for summary.json, terminal and report: counters and intervals in, documents, sentences and table cells out.

Pure; docs/answers.md says what each figure means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.config.settings import Settings
from inference_swarm.export.formats import format_count, format_rate, format_share, format_us
from inference_swarm.export.intervals import IntervalRow
from inference_swarm.judge.stages import StageResult
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.measure.intervals import IntervalSeries
from inference_swarm.measure.quality import QualityCounters

MAX_LOADS = 8
LOAD_HEADERS = ("load", "requests/s", "answers", "wrong", "accuracy", "RMSE", "p99")
EXAMPLE_HEADERS = ("at", "row", "expected", "got", "right for row", "latency", "sent")
_FIGURES = ("accuracy", "auc", "log_loss", "mae", "rmse")
_WORDS = {"accuracy": "accuracy", "auc": "AUC", "log_loss": "log loss", "mae": "MAE", "rmse": "RMSE"}


def answer_metrics(total: RequestCounters, settings: Settings) -> Document | None:
    """Return the counts and figures of all answers; None where nobody looked at any."""
    answers = total.answers
    if answers is None:
        return None
    return {
        "share": settings.answer_sample if not settings.record_answers else 1.0,
        "expected": "recorded"
        if settings.expect_answers
        else "first"
        if settings.check_answer == "consistent"
        else None,
        "is_recording": bool(settings.record_answers),
        "requests": answers.requests,
        "rows": answers.rows,
        "unreadable": answers.unreadable,
        "unknown": answers.unknown,
        "wrong": answers.wrong,
        "examined": answers.examined,
        "swapped": answers.swapped,
        "quality": quality_metrics(answers.quality),
        "late": quality_metrics(answers.late),
        "failed": quality_metrics(answers.failed),
        "examples": [asdict(example) for example in answers.examples],
    }


def quality_metrics(quality: QualityCounters) -> Document | None:
    """Return the figures of labelled answers; None without any."""
    if not quality.labelled:
        return None
    figures = {name: _rounded(getattr(quality, name)) for name in (*_FIGURES, "auc_error")}
    if quality.is_of_numbers or not (quality.classified or quality.scored):
        figures["accuracy"] = None
    elif quality.accuracy is not None:
        figures["mae"] = figures["rmse"] = None
    return {"labelled": quality.labelled, "correct": quality.correct, "classified": quality.classified, **figures}


def answer_summary(
    total: RequestCounters,
    settings: Settings,
    series: IntervalSeries,
    rows: Sequence[IntervalRow],
    stages: Sequence[StageResult],
) -> Document | None:
    """Return what summary.json holds: the figures, where wrong answers begin, figures over load, and sentences."""
    found = answer_metrics(total, settings)
    if found is None:
        return None
    found["begins"] = _begin(rows) if found["wrong"] else None
    found["over_load"] = _over_stages(stages) if stages else _over_rate(series, rows)
    found["sentences"] = answer_sentences(found)
    return found


def answer_sentences(answers: ReadDocument) -> list[str]:
    """Return what is to be said of answers, the most important first."""
    sentences = []
    if answers["expected"]:
        sentences.append(_wrong_words(answers))
    if begins := answers.get("begins"):
        sentences.append(_begin_words(begins))
    if answers["unreadable"]:
        unreadable, requests = answers["unreadable"], answers["requests"]
        sentences.append(
            f"{format_count(unreadable)} of {format_count(requests)} responses held no prediction for each row"
        )
    for key, words in (("quality", ""), ("late", "of requests sent late: "), ("failed", "of answers that failed: ")):
        if (quality := answers[key]) is not None:
            sentences.append(words + quality_words(quality))
    if answers.get("is_recording"):
        read = format_count(answers["requests"] - answers["unreadable"])  # each of one row
        sentences.insert(0, f"{read} of {format_count(answers['requests'])} answers were read for the recording")
    return sentences or [f"{_looked_at(answers)}: nothing to compare them with"]


def quality_words(quality: ReadDocument) -> str:
    """Return the figures that there are."""
    parts = []
    for name in _FIGURES:
        if (value := quality[name]) is None:
            continue
        error = f" ± {quality['auc_error']:.1g}" if name == "auc" else ""
        parts.append(f"{_WORDS[name]} {value:.6g}{error}")
    rows = f"{format_count(quality['labelled'])} labelled answers"
    return f"{', '.join(parts)} of {rows}" if parts else f"{rows}, none of which can be compared with its label"


def answer_differences(one: ReadDocument, other: ReadDocument) -> list[str]:
    """Return a line for each figure of two summaries that both have."""
    first, second = one.get("answers"), other.get("answers")
    if not first or not second:
        return []
    found = []
    if first["expected"] and second["expected"]:
        counts = [f"{format_count(each['wrong'])} of {format_count(each['rows'])}" for each in (first, second)]
        found.append(f"wrong answers: {counts[0]} and {counts[1]}")
    qualities = first["quality"] or {}, second["quality"] or {}
    for name in _FIGURES:
        values = [quality.get(name) for quality in qualities]
        if None not in values:
            found.append(f"{_WORDS[name]}: {values[0]:.6g} and {values[1]:.6g}")
    return found


def load_cells(load: ReadDocument) -> list[str]:
    """Return a line of `over_load` as cells below LOAD_HEADERS."""
    return [
        load["load"],
        format_rate(load["rate_rps"]),
        format_count(load["rows"]),
        format_count(load["wrong"]),
        _figure(load["accuracy"]),
        _figure(load["rmse"]),
        format_us(load["p99_us"]),
    ]


def example_cells(example: ReadDocument) -> list[str]:
    """Return a wrong answer as cells below EXAMPLE_HEADERS."""
    other = example["other_row"]
    return [
        f"{example['at_s']:.1f} s",
        f"{example['row']:,}",
        example["expected"],
        example["got"],
        "" if other is None else f"{other:,}",
        format_us(example["latency_us"]),
        example["body"],
    ]


def _wrong_words(answers: ReadDocument) -> str:
    wrong, rows, examined = answers["wrong"], answers["rows"], answers["examined"]
    than = "the recorded one" if answers["expected"] == "recorded" else "the first one to its row"
    if not wrong:
        if answers["rows"] and answers.get("unknown", 0) >= answers["rows"]:
            return _looked_at(answers)
        each = "each of the others" if answers.get("unknown") else "each"
        return f"{_looked_at(answers)}, {each} the same as {than}"
    words = f"{_looked_at(answers)}: {format_count(wrong)} ({format_share(wrong, rows)}) other than {than}"
    if not examined:
        return words
    of_those = "of these" if examined == wrong else f"of {format_count(examined)} that were looked into"
    return f"{words}; {format_count(answers['swapped'])} {of_those} another row's right one (swapped)"


def _looked_at(answers: ReadDocument) -> str:
    share = "" if answers["share"] >= 1 else f" of a sample of {answers['share'] * 100:g} %"
    unknown = answers.get("unknown")
    lacking = f" ({format_count(unknown)} of them could not be compared)" if unknown else ""
    return f"{format_count(answers['rows'])} answers{share} looked at{lacking}"


def _begin_words(begins: ReadDocument) -> str:
    words = (
        f"wrong answers begin at {format_rate(begins['rate_rps'])}/s and {format_rate(begins['in_flight'])} in flight, "
        f"p99 {format_us(begins['p99_us'])}, {begins['at_s']:.0f} s into the run"
    )
    until = begins["none_up_to_rps"]
    return words if until is None else f"{words}; up to {format_rate(until)}/s there were none"


def _begin(rows: Sequence[IntervalRow]) -> Document | None:
    """Return the interval with the lowest rate among those with wrong answers, and the highest rate without any."""
    wrong = [row for row in rows if row.wrong_answers > 0]
    if not wrong:
        return None
    first = min(wrong, key=lambda row: row.rate_rps)
    right = [
        row.rate_rps for row in rows if row.answers > 0 and not row.wrong_answers and row.rate_rps < first.rate_rps
    ]
    return {
        "at_s": round(first.start_s, 3),
        "rate_rps": round(first.rate_rps, 3),
        "in_flight": round(first.in_flight, 3),
        "p99_us": _number(first.p99_us),
        "none_up_to_rps": round(max(right), 3) if right else None,
    }


def _over_stages(stages: Sequence[StageResult]) -> list[Document]:
    return [_load(f"stage {stage.number}", stage.rate_rps, stage.counters) for stage in stages]


def _over_rate(series: IntervalSeries, rows: Sequence[IntervalRow]) -> list[Document]:
    """Return the intervals by their rate, in groups of equal width from the lowest to the highest."""
    rates = {row.start_s: row.rate_rps for row in rows if row.answers > 0}
    if not rates:
        return []
    low, high = min(rates.values()), max(rates.values())
    width = (high - low) / MAX_LOADS or 1.0
    groups: dict[int, tuple[list[float], RequestCounters]] = {}
    for interval in series.intervals():
        rate = rates.get(interval.start_s)
        if rate is not None:
            of_group, counters = groups.setdefault(
                min(MAX_LOADS - 1, int((rate - low) / width)), ([], RequestCounters())
            )
            of_group.append(rate)
            counters.add(interval.total())
    found = []
    for _, (of_group, counters) in sorted(groups.items()):
        lowest, highest = format_rate(min(of_group)), format_rate(max(of_group))
        words = f"{lowest}/s" if lowest == highest else f"{lowest} … {highest}/s"
        found.append(_load(words, sum(of_group) / len(of_group), counters))
    return found


def _load(words: str, rate_rps: float, counters: RequestCounters) -> Document:
    answers = counters.answers
    quality = None if answers is None else quality_metrics(answers.quality)
    return {
        "load": words,
        "rate_rps": round(rate_rps, 3),
        "rows": 0 if answers is None else answers.rows,
        "wrong": 0 if answers is None else answers.wrong,
        "accuracy": None if quality is None else quality["accuracy"],
        "rmse": None if quality is None else quality["rmse"],
        "p99_us": _number(counters.latency.percentile_us(99)) if counters.latency.count else None,
    }


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.5g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 12)


def _number(value: float) -> float | None:
    return None if value != value else round(float(value), 3)
