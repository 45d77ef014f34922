from __future__ import annotations

import math

import pytest

from inference_swarm.errors import SettingProblem
from inference_swarm.judge.objectives import (
    Objective,
    Quantity,
    TimeOrigin,
    format_time_us,
    parse_objective,
    parse_objectives,
    split_objectives,
)


@pytest.mark.parametrize(
    ("text", "metric", "comparator", "bound", "origin", "name"),
    [
        ("p99<50ms", "p99", "<", 50_000, "latency", None),
        ("p50 <= 800us", "p50", "<=", 800, "latency", None),
        ("p99.99<1.5s", "p99.99", "<", 1_500_000, "latency", None),
        ("p95<412µs", "p95", "<", 412, "latency", None),
        ("p95<412μs", "p95", "<", 412, "latency", None),
        ("service.p99<20ms", "p99", "<", 20_000, "service", None),
        ("latency.mean<.5ms", "mean", "<", 500, "latency", None),
        (" service . max <= 1 s ", "max", "<=", 1_000_000, "service", None),
        ("p99{POST /invocation}<50ms", "p99", "<", 50_000, "latency", "POST /invocation"),
        ("error_rate{a<b, {x}} <= 1%", "error_rate", "<=", 0.01, "latency", "a<b, {x}"),
        ("error_rate<0.1%", "error_rate", "<", 0.001, "latency", None),
        ("error_rate<=0", "error_rate", "<=", 0, "latency", None),
        ("error_rate<0.02", "error_rate", "<", 0.02, "latency", None),
        ("rate>=1000", "rate", ">=", 1000, "latency", None),
        ("rate>99.5/s", "rate", ">", 99.5, "latency", None),
        ("goodput>=1000 /s", "goodput", ">=", 1000, "latency", None),
    ],
)
def test_objectives_are_read(
    text: str, metric: str, comparator: str, bound: float, origin: str, name: str | None
) -> None:
    objective = parse_objective(text)
    assert (objective.metric, objective.comparator, objective.origin, objective.name) == (
        metric,
        comparator,
        origin,
        name,
    )
    assert objective.bound == pytest.approx(bound, rel=1e-12)
    assert objective.text == text.strip()


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("", "there is nothing in it", "a metric, a comparator and a bound"),
        ("p99 50ms", "there is no comparison in it", "one of < <= > >="),
        ("p99=50ms", "there is no comparison in it", "one of < <= > >="),
        ("p99<", "there is no bound behind the comparator", "a time with its unit"),
        ("p99<50", "the bound '50' has no unit", "for p99 a time with its unit: us, µs, ms or s"),
        ("p99<50 minutes", "has the unit 'minutes'", "us, µs, ms or s"),
        ("p99<5%", "has the unit '%'", "a time with its unit"),
        ("p99<-5ms", "the bound '-5ms' cannot be read", "a time with its unit"),
        ("p99<=>5ms", "the bound '>5ms' cannot be read", "a time with its unit"),
        ("p99<0ms", "nothing is below 0", "or <= 0"),
        ("p999<5ms", "p999 is not a percentile", "did you mean p99.9?"),
        ("p100<5ms", "p100 is not a percentile", "did you mean max?"),
        ("p0<5ms", "p0 is not a percentile", "above 0 and below 100"),
        ("avg<5ms", "'avg' is not a metric", "one of p50 … p99.99, mean, max"),
        ("error_rat<5%", "'error_rat' is not a metric", "did you mean error_rate?"),
        ("P99<5ms", "'P99' is not a metric", "did you mean p99?"),
        ("<5ms", "'' is not a metric", "one of p50"),
        ("p99{}<5ms", "the braces hold no request name", "the name of a request"),
        ("p99{POST<5ms", "is not a metric", "one of p50"),
        ("server.p99<5ms", "'server' is not a kind of time", "latency. or service."),
        ("service.rate>5", "rate is the same for service", "rate without service."),
        ("error_rate<5", "is more than all of them", "a share from 0 to 1"),
        ("error_rate<101%", "is more than all of them", "0% to 100%"),
        ("rate>5ms", "has the unit 'ms'", "requests per second like 1000"),
        ("rate>1,000", "cannot be read", "requests per second"),
    ],
)
def test_what_is_wrong_with_an_objective_is_said(text: str, found: str, expected: str) -> None:
    with pytest.raises(SettingProblem) as raised:
        parse_objective(text, source="config.json")
    assert raised.value.found.startswith(f"config.json: objective {text!r}: ")
    assert found in raised.value.found
    assert expected in raised.value.expected
    assert "e.g." in raised.value.action


def test_all_problems_are_collected() -> None:
    objectives, problems = parse_objectives(["p99<50ms", "x", "rate>=5", "p99<5"])
    assert [objective.metric for objective in objectives] == ["p99", "rate"]
    assert len(problems) == 2


def test_one_text_is_split_into_objectives_outside_of_braces() -> None:
    text = "p99{a, b; c}<50ms, error_rate<1%;rate>=5\n\n mean<1ms,"
    assert split_objectives(text) == ["p99{a, b; c}<50ms", "error_rate<1%", "rate>=5", "mean<1ms"]
    assert split_objectives(" ") == []


@pytest.mark.parametrize(
    ("comparator", "below", "equal", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True), (">=", False, True, True)],
)
def test_comparators(comparator: str, below: bool, equal: bool, above: bool) -> None:
    objective = Objective("", "rate", Quantity.RATE, comparator, 5, TimeOrigin.LATENCY)
    assert [objective.is_met_by(value) for value in (4, 5, 6)] == [below, equal, above]
    assert not objective.is_met_by(math.nan)


@pytest.mark.parametrize(
    ("value_us", "text"),
    [
        (0, "0 µs"),
        (412.4, "412 µs"),
        (999.6, "1 ms"),
        (12_340, "12.3 ms"),
        (999_600, "1 s"),
        (1_234_000, "1.23 s"),
        (600e6, "600 s"),
        (1234e6, "1234 s"),
    ],
)
def test_times_are_shown_with_three_digits(value_us: float, text: str) -> None:
    assert format_time_us(value_us) == text


def test_values_are_shown_with_their_units() -> None:
    assert parse_objective("error_rate<1%").format(0.00123) == "0.123 %"
    assert parse_objective("rate>1").format(1234.56) == "1,234.6/s"
    assert parse_objective("p99<1s").format(math.nan) == "nothing"
