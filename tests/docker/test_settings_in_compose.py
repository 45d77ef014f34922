"""compose.yaml and .env.example name every setting that there is. Needs no Docker."""

from __future__ import annotations

import re

import pytest
from swarm_processes import ROOT

from inference_swarm.config.options import OPTIONS, Option

COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
TARGET = (ROOT / "docker" / "target.yaml").read_text(encoding="utf-8")
ELSEWHERE = (ROOT / "docker" / "target-elsewhere.yaml").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
FIXED = {"SWARM_RESULTS"}  # the mount of ./experiment-results
FOR_A_TARGET = {"DATASET_NAME", "LOAD_MODEL", "PRED_METHOD"}  # the reference server's are not for another
IN_EXAMPLE = {"LOCUST_HOST": "TARGET_HOST"}

WANTED = [option for option in OPTIONS if option.env not in FIXED]


@pytest.mark.parametrize("option", WANTED, ids=lambda option: option.env)
def test_setting_reaches_the_containers(option: Option) -> None:
    if option.env in FOR_A_TARGET:
        for file in (TARGET, ELSEWHERE):
            assert re.search(rf"^      {option.env}:", file.partition("\n  sent:")[2], re.MULTILINE)
        return
    assert re.search(rf"^  {option.env}:", COMPOSE, re.MULTILINE), f"add {option.env} to x-settings in compose.yaml"


@pytest.mark.parametrize("option", WANTED, ids=lambda option: option.env)
def test_setting_is_in_the_example(option: Option) -> None:
    name = IN_EXAMPLE.get(option.env, option.env)
    assert re.search(rf"^# {name}=", EXAMPLE, re.MULTILINE), f"add {name} to .env.example"


def test_variables_of_compose_are_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE + TARGET)) - {"HOME"}
    named = set(re.findall(r"^# ([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert used - named == set()


def test_settings_of_the_example_are_used() -> None:
    named = set(re.findall(r"^# ([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    unused = {name for name in named if not re.search(rf"\b{name}\b", COMPOSE + TARGET)}
    assert unused == set()
