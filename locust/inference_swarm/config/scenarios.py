"""`--scenario`: MLPerf's scenarios as presets of settings that exist. Pure: what was read in, what is to be read out.

docs/scenarios.md has the rules with their sources, and what is not the same. `run/scenario.py` judges a run by them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from inference_swarm.config.option import Option

SCENARIOS: Final = ("single-stream", "multi-stream", "server", "offline")
MIN_DURATION_S: Final = 600
FORM: Final = "start form"

_ONE_USER: Final[Mapping[str, object]] = {"arrival": "closed", "users": 1, "spawn_rate": 1.0}
PRESETS: Final[Mapping[str, Mapping[str, object]]] = {
    "single-stream": {**_ONE_USER, "batch_size": 1, "duration_s": MIN_DURATION_S},
    "multi-stream": {**_ONE_USER, "batch_size": 8, "duration_s": MIN_DURATION_S},
    "server": {
        "find_capacity": True, "capacity_by": "rate", "arrival": "poisson", "batch_size": 1,
        "confirm_s": float(MIN_DURATION_S), "budget_s": 3600.0,
    },
    "offline": {"arrival": "closed", "duration_s": MIN_DURATION_S},
}  # fmt: skip
"""What a scenario sets, unless it was set elsewhere."""
_CLEARED: Final[Mapping[str, object]] = {
    "burstiness": None, "rate_rps": None, "stages": None, "requests": None, "max_in_flight": None, "warm_up": None,
    "wait_min_s": 0.0, "wait_max_s": 0.0, "row_order": "random", "find_capacity": False,
}  # fmt: skip
"""Defaults that a scenario brings back where config.json has others: they would contradict it."""


def with_presets(
    read: Callable[[Option], object],
    describe_source: Callable[[Option], str],
    options: Mapping[str, Option],
    defaults: Collection[str],
) -> tuple[Callable[[Option], object], dict[str, str]]:
    """Return what reads a value of an option under the scenario, and the source of each value that is the scenario's.

    `defaults` are the places whose values are not meant for this run, such as config.json. What was set elsewhere
    stands; but a scenario that was chosen in the start form changes what was not changed there, since the form shows
    a value for everything.
    """
    asked = options["scenario"]
    scenario = read(asked)
    if scenario not in PRESETS:
        return read, {}
    is_from_form = describe_source(asked) == FORM
    presets = {**_CLEARED, **PRESETS[str(scenario)]}
    applied = {
        name
        for name, preset in presets.items()
        if describe_source(options[name]) in defaults
        or _is_preset(describe_source(options[name]), read(options[name]), preset, is_from_form=is_from_form)
    }

    def read_preset(option: Option) -> object:
        return presets[option.name] if option.name in applied else read(option)

    named = {name: f"scenario {scenario}" for name in applied if name in PRESETS[str(scenario)]}
    return read_preset, named


def _is_preset(source: str, value: object, preset: object, *, is_from_form: bool) -> bool:
    """Return whether the preset holds; one that was set at the start of a run looks as if it came from the form."""
    return value == preset if source == FORM else is_from_form
