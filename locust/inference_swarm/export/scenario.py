"""A scenario for summary.json and for readers. Pure."""

from __future__ import annotations

from dataclasses import asdict

from inference_swarm.config.documents import Document, ReadDocument
from inference_swarm.export.formats import format_count
from inference_swarm.run.scenario import ScenarioResult


def scenario_metrics(result: ScenarioResult | None) -> Document | None:
    """Return the part of summary.json; None for a run of no scenario."""
    if result is None:
        return None
    document: Document = asdict(result)
    return document | {"value": None if result.value is None else round(result.value, 3),
                       "measured_s": round(result.measured_s, 3)}  # fmt: skip


def scenario_lines(scenario: ReadDocument | None) -> list[str]:
    """Return what a scenario has come to, what it has set, and what is not as MLPerf has it."""
    if scenario is None:
        return []
    what = "rows" if scenario["scenario"] == "offline" else "samples"
    samples = f"{format_count(scenario['samples'])} {what}, {format_count(scenario['samples_needed'])} needed"
    lines = [f"{scenario['scenario']}: {scenario['metric']} {scenario['text']} ({samples})"]
    if scenario["presets"]:
        lines.append(f"it sets {', '.join(scenario['presets'])}")
    if scenario["differences"]:
        lines.append(f"not as MLPerf has it: {'; '.join(scenario['differences'])}")
    return lines
