"""A run against MLPerf's rules for its scenario: its figure, its samples, and what is not as MLPerf has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_runs import settings_with

from inference_swarm.config.scenarios import PRESETS
from inference_swarm.config.settings import Settings
from inference_swarm.judge.capacity.result import CapacityResult, StepRow
from inference_swarm.judge.capacity.search import Outcome
from inference_swarm.judge.capacity.steps import Part
from inference_swarm.judge.verdict import Status, Verdict
from inference_swarm.measure.counters import RequestCounters
from inference_swarm.run.scenario import ScenarioResult, judge_scenario, with_scenario


def settings_of(scenario: str, **changes: object) -> tuple[Settings, dict[str, str]]:
    sources = {name: "command line" if name in changes else f"scenario {scenario}" for name in PRESETS[scenario]}
    return settings_with(scenario=scenario, **{**PRESETS[scenario], **changes}), sources


def counted(samples: int, rows_each: int = 1, latency_us: tuple[float, float] = (1000, 2000)) -> RequestCounters:
    counters = RequestCounters(succeeded=samples, rows=samples * rows_each)
    counters.latency.record_ns((np.linspace(*latency_us, samples) * 1000).astype(np.int64))
    return counters


def judged(scenario: str, total: RequestCounters, measured_s: float = 600.0, **changes: object) -> ScenarioResult:
    settings, sources = settings_of(scenario, **changes)
    found = judge_scenario(settings, sources, total, measured_s, None)
    assert found is not None
    return found


def test_the_figure_of_one_user_is_its_90th_percentile() -> None:
    found = judged("single-stream", counted(1001))
    assert found.value == pytest.approx(1900, rel=0.002)
    assert (found.metric, found.text, found.differences, found.shortfall) == ("p90 latency", "1.9 ms", (), "")
    assert found.presets == ("--arrival closed", "--users 1", "--spawn-rate 1", "--batch-size 1", "--run-time 600")


@pytest.mark.parametrize(
    ("scenario", "rows_each", "enough", "what"),
    [("single-stream", 1, 64, "samples"), ("multi-stream", 8, 662, "samples"), ("offline", 96, 256, "rows")],
)
def test_too_few_samples_are_named(scenario: str, rows_each: int, enough: int, what: str) -> None:
    assert judged(scenario, counted(enough, rows_each)).shortfall == ""
    short = judged(scenario, counted(enough - 1, rows_each))
    needed = 24_576 if scenario == "offline" else enough
    assert short.shortfall == f"scenario {scenario}: {short.samples:,} {what}, at least {needed:,} are needed"


def test_a_run_without_a_response_has_no_figure() -> None:
    for scenario in ("single-stream", "multi-stream", "offline"):
        found = judged(scenario, RequestCounters(), measured_s=0.0)
        assert (found.value, found.text, bool(found.shortfall)) == (None, "–", True)


def test_rows_offline_are_by_the_measured_time() -> None:
    found = judged("offline", counted(600, 100), batch_size=100)
    assert (found.value, found.text, found.samples) == (100.0, "100 rows/s", 60_000)


def test_what_is_not_as_mlperf_has_it_is_named() -> None:
    found = judged("multi-stream", counted(700), 5.0, users=3, batch_size=4, duration_s=5)
    assert found.differences == (
        "--users 3 (command line) instead of 1",
        "--batch-size 4 (command line) instead of 8",
        "5 s were measured instead of at least 600 s",
    )
    assert found.presets == ("--arrival closed", "--spawn-rate 1")


def searched(requests: int, length_s: float = 600.0) -> CapacityResult:
    answer = StepRow(9, Part.CONFIRM, 250.0, 100.0, 101.0, 101.0 + length_s, None, requests=requests)
    return CapacityResult(Outcome.FOUND, False, 250.0, answer, None, False, "", (), (answer,), 1)


def test_a_server_has_the_rate_that_was_confirmed_by_enough_samples() -> None:
    settings, sources = settings_of("server", slo="p99<15ms")
    found = judge_scenario(settings, sources, RequestCounters(), 900.0, searched(150_000))
    assert found is not None
    assert (found.value, found.text, found.samples, found.differences) == (250.0, "250/s", 150_000, ())
    passed = Verdict(Status.PASSED)
    assert with_scenario(passed, found) is passed
    few = replace(found, samples=661)
    assert with_scenario(passed, few).status is Status.INCOMPLETE
    assert with_scenario(passed, few).reasons == ("scenario server: 661 samples, at least 662 are needed",)
    missed = Verdict(Status.OBJECTIVE_MISSED, (), ("it holds 5/s",))
    assert with_scenario(missed, few) is missed


def test_a_server_whose_bound_is_on_another_percentile_or_shorter_is_said() -> None:
    settings, sources = settings_of("server", slo="p95<15ms", confirm_s=60.0)
    found = judge_scenario(settings, sources, RequestCounters(), 900.0, searched(15_000, 60.0))
    assert found is not None
    assert found.differences == ("no objective is on p99", "60 s were measured instead of at least 600 s")


def test_a_run_of_no_scenario_has_no_result() -> None:
    assert judge_scenario(settings_with(), {}, counted(10), 600.0, None) is None
