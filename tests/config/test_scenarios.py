"""`--scenario`: which values are its presets, and which are those of whoever started the run."""

from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config.option import Option
from inference_swarm.config.options import BY_NAME
from inference_swarm.config.scenarios import PRESETS, SCENARIOS, with_presets
from inference_swarm.config.settings import Settings, resolve_settings

FILE = "locust/config.json"
SHIPPED = {"users": (50, FILE), "spawn_rate": (25.0, FILE), "duration_s": (30, FILE), "wait_min_s": (0.0, FILE)}


def resolve(scenario: tuple[str, str], **given: tuple[Any, str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and the presets that hold; `given`: value and source by name."""
    placed = {"host": ("http://h", "command line"), "scenario": scenario, **given}

    def read(option: Option) -> object:
        return placed.get(option.name, (option.default, ""))[0]

    def describe(option: Option) -> str:
        return placed.get(option.name, (None, "built-in default"))[1]

    read_preset, presets = with_presets(read, describe, BY_NAME, ("built-in default", FILE))
    return resolve_settings(read_preset, describe), presets


def test_presets_stand_above_the_config_json_that_is_shipped() -> None:
    settings, presets = resolve(("multi-stream", "command line"), **SHIPPED)
    assert (settings.users, settings.spawn_rate, settings.batch_size, settings.duration_s) == (1, 1.0, 8, 600)
    assert presets == dict.fromkeys(PRESETS["multi-stream"], "scenario multi-stream")


@pytest.mark.parametrize("source", ["command line", "environment LOCUST_RUN_TIME", "start form"])
def test_what_was_set_for_the_run_wins(source: str) -> None:
    settings, presets = resolve(("single-stream", "command line"), **{**SHIPPED, "duration_s": (5, source)})
    assert (settings.duration_s, settings.users) == (5, 1)
    assert "duration_s" not in presets


def test_a_scenario_of_the_form_changes_what_was_not_changed_there() -> None:
    """A form sends a value for everything; those of the master's environment were not meant for this run."""
    given = {"users": (50, "environment LOCUST_USERS"), "duration_s": (7, "start form")}
    settings, presets = resolve(("single-stream", "start form"), **given)
    assert (settings.users, settings.duration_s) == (1, 7)
    assert {"users", "spawn_rate"} <= set(presets)


def test_what_the_start_of_a_run_has_set_itself_is_still_a_preset() -> None:
    settings, presets = resolve(("single-stream", "command line"), users=(1, "start form"))
    assert settings.users == 1
    assert presets["users"] == "scenario single-stream"


def test_another_load_of_config_json_does_not_contradict_a_scenario() -> None:
    open_load = {"arrival": ("gamma", FILE), "rate_rps": (5.0, FILE), "burstiness": (0.5, FILE)}
    others = {"stages": ("", FILE), "requests": (10, FILE), "wait_max_s": (3.0, FILE), "row_order": ("once", FILE)}
    settings, _ = resolve(("offline", "environment SWARM_SCENARIO"), **open_load, **others)
    assert (settings.arrival, settings.rate_rps, settings.requests, settings.wait_max_s) == ("closed", None, None, 0.0)
    assert (settings.row_order, settings.users, settings.duration_s) == ("random", 50, 600)


def test_a_server_is_searched_with_a_confirmation_of_ten_minutes() -> None:
    settings, _ = resolve(("server", FILE), slo=("p99<15ms", FILE))
    assert (settings.find_capacity, settings.arrival, settings.capacity_by) == (True, "poisson", "rate")
    assert (settings.confirm_s, settings.budget_s, settings.batch_size) == (600, 3600, 1)


def test_without_a_scenario_nothing_is_changed() -> None:
    settings, presets = resolve(("", "built-in default"), **SHIPPED)
    assert (settings.users, settings.duration_s, settings.scenario, presets) == (50, 30, "", {})
    assert set(PRESETS) == set(SCENARIOS)
