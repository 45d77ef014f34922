"""A run against MLPerf's rules for its scenario: settings and totals in, figure, samples and differences out. Pure.

docs/scenarios.md has the rules with their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inference_swarm.config.options import BY_NAME
from inference_swarm.config.scenarios import MIN_DURATION_S, PRESETS
from inference_swarm.config.settings import Settings
from inference_swarm.judge.capacity.result import CapacityResult
from inference_swarm.judge.objectives import format_time_us, parse_objectives, split_objectives
from inference_swarm.judge.sample_size import samples_needed
from inference_swarm.judge.verdict import Status, Verdict
from inference_swarm.measure.counters import RequestCounters

SAMPLES_OFFLINE: Final = 24_576
PERCENTILES: Final[Mapping[str, float]] = {"single-stream": 90.0, "multi-stream": 99.0, "server": 99.0}
# A run is over some milliseconds before or after its time.
SPARE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What a run of a scenario has come to."""

    scenario: str
    metric: str
    value: float | None
    """In µs, or per second; None where nothing was measured."""
    text: str
    """The value with its unit."""
    samples: int
    samples_needed: int
    measured_s: float
    presets: tuple[str, ...]
    """What the scenario has set, as words of a command line."""
    differences: tuple[str, ...]
    """What of this run is not as MLPerf has it."""

    @property
    def shortfall(self) -> str:
        """Why the run is incomplete; empty where it is not."""
        if self.samples >= self.samples_needed:
            return ""
        what = "rows" if self.scenario == "offline" else "samples"
        return f"scenario {self.scenario}: {self.samples:,} {what}, at least {self.samples_needed:,} are needed"


def judge_scenario(
    settings: Settings,
    sources: Mapping[str, str],
    total: RequestCounters,
    measured_s: float,
    capacity: CapacityResult | None,
) -> ScenarioResult | None:
    """Return the result; None for a run of no scenario. `total` is of `measured_s`."""
    scenario = settings.scenario
    if not scenario:
        return None
    percentile = PERCENTILES.get(scenario)
    needed = SAMPLES_OFFLINE if percentile is None else samples_needed(percentile)
    samples, value, text, metric = total.succeeded, None, "–", f"p{percentile or 0:g} latency"
    if capacity is not None:
        answer, metric = capacity.answer, "rate held"
        samples = 0 if answer is None else answer.requests
        measured_s = 0.0 if answer is None or answer.end_s is None else answer.end_s - answer.settled_s
        value = capacity.load
        text = text if value is None else f"{'at least ' * capacity.is_at_least}{value:,.4g}/s"
    elif percentile is None:
        samples, metric = total.rows, "throughput"
        value = total.rows_in_time / measured_s if measured_s > 0 else None
        text = text if value is None else f"{value:,.0f} rows/s" if value >= 100 else f"{value:.3g} rows/s"
    elif total.latency.count:
        value = total.latency.percentile_us(percentile)
        text = format_time_us(value)
    differences = (*_other_settings(settings, sources), *_other_objectives(settings), *_too_short(measured_s))
    return ScenarioResult(
        scenario, metric, value, text, samples, needed, measured_s, _preset_words(settings, sources), differences
    )


def with_scenario(verdict: Verdict, result: ScenarioResult | None) -> Verdict:
    """Return the verdict on a search with that on its samples."""
    if result is None or not result.shortfall or verdict.status.rank < Status.INCOMPLETE.rank:
        return verdict
    return Verdict(Status.INCOMPLETE, verdict.results, (result.shortfall, *verdict.reasons))


def _words(name: str, value: object) -> str:
    shown = f"{value:g}" if isinstance(value, float) else value
    return BY_NAME[name].flag if value is True else f"{BY_NAME[name].flag} {shown}"


def _is_preset(sources: Mapping[str, str], name: str) -> bool:
    return sources.get(name, "").startswith("scenario ")


def _preset_words(settings: Settings, sources: Mapping[str, str]) -> tuple[str, ...]:
    presets = PRESETS[settings.scenario]
    return tuple(_words(name, preset) for name, preset in presets.items() if _is_preset(sources, name))


def _other_settings(settings: Settings, sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return what was set otherwise; of times only that they were, since what was measured is said."""
    values = settings.to_dict()
    return tuple(
        f"{_words(name, values[name])} ({sources.get(name, '')}) instead of {preset:g}"
        if isinstance(preset, int | float) and not isinstance(preset, bool)
        else f"{BY_NAME[name].flag} is {values[name]} ({sources.get(name, '')}) instead of {preset}"
        for name, preset in PRESETS[settings.scenario].items()
        if name not in ("duration_s", "confirm_s", "budget_s", "spawn_rate") and values[name] != preset
    )


def _other_objectives(settings: Settings) -> tuple[str, ...]:
    if settings.scenario != "server":
        return ()
    objectives, _ = parse_objectives(split_objectives(settings.slo))
    if any(one.percentile == PERCENTILES["server"] for one in objectives):
        return ()
    return ("no objective is on p99",)


def _too_short(measured_s: float) -> tuple[str, ...]:
    if measured_s >= MIN_DURATION_S - SPARE_S:
        return ()
    return (f"{measured_s:,.3g} s were measured instead of at least {MIN_DURATION_S} s",)
