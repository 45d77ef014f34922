"""Values of options to Settings: each mistake is one problem, and none that follows from another."""

from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config.settings import resolve_settings
from inference_swarm.errors import ConfigError


def problems_of(**given: Any) -> list[str]:
    try:
        resolve_settings(lambda option: given.get(option.name), lambda _: "command line")
    except ConfigError as error:
        return [str(problem).splitlines()[0] for problem in error.problems]
    return []


def test_without_a_host_there_is_no_server_to_test() -> None:
    assert problems_of() == ["there is no server to test: host is not set"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"host": "model:8080"}, "--host is 'model:8080' (command line)"),
        ({"rate_rps": "fast", "arrival": "constant"}, "--rate is 'fast' (command line)"),
        ({"arrival": "often", "rate_rps": "5"}, "--arrival is 'often' (command line)"),
        ({"wait_max_s": "long", "wait_min_s": "5"}, "--wait-max is 'long' (command line)"),
    ],
)
def test_a_value_that_cannot_be_read_is_one_problem(given: dict[str, str], problem: str) -> None:
    assert problems_of(**{"host": "http://127.0.0.1:8000", **given}) == [problem]


def test_values_that_do_not_go_together_are_one_problem_each() -> None:
    found = problems_of(host="http://h", wait_min_s="3", wait_max_s="1", rate_rps="5")
    assert [problem.split(" (")[0] for problem in found] == ["--wait-min is 3", "--rate is 5 and --arrival is closed"]
