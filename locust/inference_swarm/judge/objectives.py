"""Objectives of a run (`--slo`): text in, what to measure and its bound out.

Grammar, blanks are free:  [latency.|service.] METRIC [[CONDITION]] [{REQUEST NAME}] COMPARATOR NUMBER UNIT
  METRIC      p50 … p99.99 (any percentile above 0 and below 100), mean, max, error_rate, rate, goodput;
              against labels accuracy, auc, log_loss, mae, rmse
  CONDITION   for goodput with > or >= only: an objective on a time, or <TIME for each request by itself
  COMPARATOR  < <= > >= (for error_rate < and <= only)
  UNIT        us, µs, ms or s for times; % or nothing (a fraction) for error_rate, accuracy and auc; /s or nothing for
              rates; nothing for log_loss, mae and rmse
  p99<50ms   service.p99.9<20ms   p99{POST /invocation}<50ms   error_rate<0.1%   rate>=1000
  goodput[p99<50ms]>=1000    a thousand successes a second, and none of them counts if p99 is not below 50 ms
  goodput[<50ms]>=1000       a thousand successes a second that each took less than 50 ms
Times are latency (from the intended instant) unless `service.` asks for the time from the send. Without a name all
requests are meant. `judge.evaluate` says what each metric counts.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from inference_swarm.errors import SettingProblem

EXAMPLES = "p99<50ms, service.p99.9<20ms, p99{POST /invocation}<50ms, error_rate<0.1%, goodput[p99<50ms]>=1000"


class Quantity(StrEnum):
    """What kind of number a metric is, and with it the units of its bound."""

    TIME = "time"
    SHARE = "share"
    RATE = "rate"
    QUALITY_SHARE = "quality"
    """Of predictions against labels, from 0 to 1."""
    QUALITY_ERROR = "error"
    """Of predictions against labels, of any size."""

    @property
    def is_of_quality(self) -> bool:
        """True for what is measured against labels."""
        return self in (Quantity.QUALITY_SHARE, Quantity.QUALITY_ERROR)


class TimeOrigin(StrEnum):
    """From where a time runs: the intended instant, or the send."""

    LATENCY = "latency"
    SERVICE = "service"


_METRICS = {
    "mean": Quantity.TIME,
    "max": Quantity.TIME,
    "error_rate": Quantity.SHARE,
    "rate": Quantity.RATE,
    "goodput": Quantity.RATE,
    "accuracy": Quantity.QUALITY_SHARE,
    "auc": Quantity.QUALITY_SHARE,
    "log_loss": Quantity.QUALITY_ERROR,
    "mae": Quantity.QUALITY_ERROR,
    "rmse": Quantity.QUALITY_ERROR,
}
# Factors to µs, fractions and per second.
_UNITS: dict[Quantity, dict[str, float]] = {
    Quantity.TIME: {"us": 1.0, "µs": 1.0, "μs": 1.0, "ms": 1000.0, "s": 1_000_000.0},
    Quantity.SHARE: {"%": 0.01, "": 1.0},
    Quantity.RATE: {"/s": 1.0, "": 1.0},
    Quantity.QUALITY_SHARE: {"%": 0.01, "": 1.0},
    Quantity.QUALITY_ERROR: {"": 1.0},
}
_UNIT_WORDS = {
    Quantity.TIME: "a time with its unit: us, µs, ms or s",
    Quantity.SHARE: "a share like 0.1% or 0.001",
    Quantity.RATE: "requests per second like 1000 or 1000/s",
    Quantity.QUALITY_SHARE: "a share like 0.93 or 93%",
    Quantity.QUALITY_ERROR: "a number like 4.1",
}
_COMPARATOR = re.compile(r"<=|>=|<|>")
_CONDITION = re.compile(r"[^\[{<>]*\[(?P<condition>[^\]]*)\]")
_LEFT = re.compile(
    r"(?:(?P<origin>\w+)\s*\.\s*)?(?P<metric>[A-Za-z_]\w*(?:\.\d+)?)\s*(?:\[(?P<condition>[^\]]*)\])?\s*"
    r"(?:\{(?P<name>.*)\})?",
    re.DOTALL,
)
_RIGHT = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)\s*(?P<unit>\D*)")


@dataclass(frozen=True, slots=True)
class Objective:
    """One parsed objective; `bound` is in µs for times, a fraction for shares, per second for rates."""

    text: str
    metric: str
    quantity: Quantity
    comparator: str
    bound: float
    origin: TimeOrigin = TimeOrigin.LATENCY
    name: str | None = None
    condition: Objective | None = None
    """For goodput: nothing counts unless this is met."""
    within_us: float | None = None
    """For goodput: only successes whose latency is below this count."""

    @property
    def percentile(self) -> float | None:
        """99.9 for p99.9, None for what is not a percentile."""
        return float(self.metric[1:]) if self.metric not in _METRICS else None

    @property
    def is_upper_bound(self) -> bool:
        return self.comparator.startswith("<")

    @property
    def is_on_all_failures(self) -> bool:
        """It says how many failures of all requests are too many."""
        return self.metric == "error_rate" and self.name is None

    def is_met_by(self, measured: float) -> bool:
        """False for NaN, whatever the comparator: what was not measured meets nothing."""
        match self.comparator:
            case "<":
                return measured < self.bound
            case "<=":
                return measured <= self.bound
            case ">":
                return measured > self.bound
            case _:
                return measured >= self.bound

    def format(self, value: float) -> str:
        """A measured value or the bound with its unit; NaN is `nothing`, infinity `no response`."""
        if math.isnan(value):
            return "nothing"
        if math.isinf(value):
            return "no response"
        if self.quantity is Quantity.TIME:
            return format_time_us(value)
        if self.quantity.is_of_quality:
            return f"{value:.6g}"
        return f"{value * 100:.4g} %" if self.quantity is Quantity.SHARE else f"{value:,.1f}/s"


def format_time_us(value_us: float) -> str:
    """Format three digits in a suitable unit: 412 µs, 12.3 ms, 1.23 s."""
    for unit, factor in (("µs", 1), ("ms", 1000)):
        if value_us < factor * 999.5:
            return f"{value_us / factor:.3g} {unit}"
    return f"{value_us / 1e6:.3g} s" if value_us < 999.5e6 else f"{value_us / 1e6:.0f} s"


def parse_objective(text: str, *, source: str = "--slo", is_failure_wanted: bool = False) -> Objective:
    """Read the grammar above; raises SettingProblem that says what is wrong with which part.

    `is_failure_wanted`: a lower bound on `error_rate` makes sense in a condition that ends a run.
    """

    def problem(found: str, expected: str, example: str = EXAMPLES) -> SettingProblem:
        return SettingProblem(
            f"{source}: objective {text.strip()!r}: {found}", expected=expected, action=f"e.g. {example}"
        )

    if not text.strip():
        raise problem("there is nothing in it", "a metric, a comparator and a bound")
    left, comparator, right = _split_at_comparator(text)
    if not comparator:
        raise problem("there is no comparison in it", "one of < <= > >= between metric and bound")
    found = _LEFT.fullmatch(left.strip())
    if found is None:
        raise problem(
            f"{left.strip()!r} is not a metric", f"one of {_known_metrics()}, with {{NAME}} behind it for one name"
        )
    metric, quantity = _read_metric(found["metric"], problem)
    if found["name"] is not None and not found["name"].strip():
        raise problem(
            "the braces hold no request name",
            "the name of a request as the report shows it",
            "p99{POST /invocation}<50ms",
        )
    origin = _read_origin(found["origin"], metric, quantity, problem)
    bound = _read_bound(right.strip(), metric, quantity, problem)
    if comparator == "<" and bound == 0:
        raise problem("nothing is below 0", "a bound above 0, or <= 0", f"{metric}<={right.strip()}")
    if metric == "error_rate" and comparator.startswith(">") and not is_failure_wanted:
        raise problem("it asks for failures", "an upper bound", f"error_rate<{right.strip()}")
    name = found["name"].strip() if found["name"] else None
    objective = Objective(text.strip(), metric, quantity, comparator, bound, origin, name)
    return objective if found["condition"] is None else _with_condition(objective, found["condition"].strip(), problem)


def _with_condition(objective: Objective, text: str, problem: _Problem) -> Objective:
    """Goodput that counts only while a bound on times is kept."""
    example = "goodput[p99<50ms]>=1000 or goodput[<50ms]>=1000"
    if objective.metric != "goodput" or objective.is_upper_bound:
        raise problem("only a lower bound on goodput has a condition in brackets", "goodput[…]>=NUMBER", example)
    if each := re.fullmatch(r"<=?(?P<bound>.*)", text):
        return replace(objective, within_us=_read_bound(each["bound"].strip(), "latency", Quantity.TIME, problem))
    condition = parse_objective(text, source=f"the condition of {objective.text!r}")
    is_usable = condition.quantity is Quantity.TIME and condition.is_upper_bound and condition.name is None
    if not is_usable:
        raise problem(f"[{text}] is not an upper bound on a time", "such a bound, without a request name", example)
    return replace(objective, condition=condition)


def parse_objectives(texts: Iterable[str], *, source: str = "--slo") -> tuple[list[Objective], list[SettingProblem]]:
    """Return all objectives that can be read and all problems of the others."""
    objectives: list[Objective] = []
    problems: list[SettingProblem] = []
    for text in texts:
        try:
            objectives.append(parse_objective(text, source=source))
        except SettingProblem as problem:
            problems.append(problem)
    return objectives, problems


def split_objectives(text: str) -> list[str]:
    """Objectives of one text (start form, environment): separated by commas, semicolons or lines, not within braces."""
    parts = re.findall(r"(?:\{[^}\n]*\}|[^,;\n{]|\{)+", text)
    return [part.strip() for part in parts if part.strip()]


class _Problem(Protocol):
    def __call__(self, found: str, expected: str, example: str = ...) -> SettingProblem: ...


def _split_at_comparator(text: str) -> tuple[str, str, str]:
    """Metric, comparator, bound; what stands in braces is a name and may hold any sign, a condition has its own."""
    condition = _CONDITION.match(text)
    start = condition.end() if condition else 0
    opening, closing = text.find("{", start), text.rfind("}")
    found = _COMPARATOR.search(text, start)
    if 0 <= opening < closing and found and opening < found.start():
        found = _COMPARATOR.search(text, closing)
    if not found:
        return text, "", ""
    return text[: found.start()], found[0], text[found.end() :]


def _known_metrics() -> str:
    return "p50 … p99.99, " + ", ".join(_METRICS)


def _read_metric(word: str, problem: _Problem) -> tuple[str, Quantity]:
    if word in _METRICS:
        return word, _METRICS[word]
    if percentile := re.fullmatch(r"p(\d+(?:\.\d+)?)", word):
        value = float(percentile[1])
        if 0 < value < 100:
            return word, Quantity.TIME
        hint = f"p{percentile[1][:2]}.{percentile[1][2:]}" if re.fullmatch(r"9\d{2,}", percentile[1]) else "max"
        raise problem(
            f"{word} is not a percentile", f"a percentile above 0 and below 100; did you mean {hint}?", f"{hint}<50ms"
        )
    near = difflib.get_close_matches(word.lower(), [*_METRICS, "p99"], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise problem(f"{word!r} is not a metric", f"one of {_known_metrics()}{hint}")


def _read_origin(word: str | None, metric: str, quantity: Quantity, problem: _Problem) -> TimeOrigin:
    if word is None:
        return TimeOrigin.LATENCY
    if word not in set(TimeOrigin):
        raise problem(
            f"{word!r} is not a kind of time", "latency. or service. before the metric", f"service.{metric}<50ms"
        )
    if quantity is not Quantity.TIME:
        raise problem(f"{metric} is the same for {word} and all else", f"{metric} without {word}.")
    return TimeOrigin(word)


def _read_bound(text: str, metric: str, quantity: Quantity, problem: _Problem) -> float:
    if not text:
        raise problem("there is no bound behind the comparator", _UNIT_WORDS[quantity])
    found = _RIGHT.fullmatch(text)
    if found is None:
        raise problem(f"the bound {text!r} cannot be read", _UNIT_WORDS[quantity])
    unit = found["unit"].strip()
    if unit not in _UNITS[quantity]:
        missing = f"the bound {text!r} has " + (f"the unit {unit!r}" if unit else "no unit")
        raise problem(missing, f"for {metric} {_UNIT_WORDS[quantity]}")
    bound = float(found["number"]) * _UNITS[quantity][unit]
    if quantity in (Quantity.SHARE, Quantity.QUALITY_SHARE) and bound > 1:
        raise problem(f"the bound {text!r} is more than all of them", "a share from 0 to 1, or 0% to 100%")
    return bound
