from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config import kinds
from inference_swarm.config.options import OPTIONS


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (kinds.WHOLE_SECONDS, "1h30m", 5400),
        (kinds.WHOLE_SECONDS, "90", 90),
        (kinds.WHOLE_SECONDS, 45, 45),
        (kinds.WHOLE_SECONDS, "0", 0),
        (kinds.RUN_TIME, "1m", 60),
        (kinds.TIMEOUT, "2.5s", 2.5),
        (kinds.SIZE, "64MiB", 64 * 2**20),
        (kinds.SIZE, "1.5 kb", 1500),
        (kinds.SIZE, 10, 10),
        (kinds.FLAG, "Yes", True),
        (kinds.FLAG, "0", False),
        (kinds.URL, "https://example.org/v1/", "https://example.org/v1"),
    ],
)
def test_a_value_is_parsed_and_parsing_it_again_changes_nothing(kind: kinds.Kind, given: Any, value: Any) -> None:
    assert kind.parse(given) == value
    assert kind.parse(kind.parse(given)) == value


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (kinds.WHOLE_SECONDS, ""),
        (kinds.RUN_TIME, "0"),
        (kinds.RUN_TIME, "0s"),
        (kinds.RUN_TIME, 0),
        (kinds.WHOLE_SECONDS, "1.5s"),
        (kinds.WHOLE_SECONDS, "-3"),
        (kinds.WHOLE_SECONDS, -3),
        (kinds.TIMEOUT, 0),
        (kinds.SECONDS, "nan"),
        (kinds.SECONDS, float("inf")),
        (kinds.SECONDS, True),
        (kinds.SIZE, "0"),
        (kinds.SIZE, "12 parsecs"),
        (kinds.FLAG, "maybe"),
        (kinds.URL, "ftp://example.org"),
        (kinds.URL, "http://:80"),
        (kinds.URL, "http://example.org:99999"),
        (kinds.COUNT, "-1"),
    ],
)
def test_what_a_kind_does_not_accept_raises(kind: kinds.Kind, given: Any) -> None:
    with pytest.raises(ValueError):
        kind.parse(given)


def test_every_default_is_a_value_of_its_own_kind() -> None:
    for option in OPTIONS:
        if option.default not in (None, ""):
            assert option.kind.parse(option.default) == option.default, option.name


def test_names_flags_environment_and_json_keys_are_each_used_once() -> None:
    for attribute in ("name", "flag", "env", "json_key"):
        values = [getattr(option, attribute) for option in OPTIONS]
        assert len(values) == len(set(values)), attribute
