from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config import value_types
from inference_swarm.config.options import OPTIONS


@pytest.mark.parametrize(
    ("value_type", "given", "value"),
    [
        (value_types.WHOLE_SECONDS, "1h30m", 5400),
        (value_types.WHOLE_SECONDS, "90", 90),
        (value_types.WHOLE_SECONDS, 45, 45),
        (value_types.WHOLE_SECONDS, "0", 0),
        (value_types.RUN_TIME, "1m", 60),
        (value_types.TIMEOUT, "2.5s", 2.5),
        (value_types.MASTER_TIMEOUT, "3", 3.0),
        (value_types.SIZE, "64MiB", 64 * 2**20),
        (value_types.SIZE, "1.5 kb", 1500),
        (value_types.SIZE, 10, 10),
        (value_types.FLAG, "Yes", True),
        (value_types.FLAG, "0", False),
        (value_types.URL, "https://example.org/v1/", "https://example.org/v1"),
        (value_types.USERS, "1000000", 1_000_000),
        (value_types.RATE, "0.5", 0.5),
        (value_types.RATE, 10_000_000, 10_000_000),
        (value_types.PARAMS, {"input": "rows", "n": 3, "x": "a\u2028\nb"}, 'input="rows"\nn=3\nx="a\\u2028\\nb"'),
        (value_types.PARAMS, [" a=1 ", "b=x\u2028y\r\n\nc=2"], "a=1\nb=x\u2028y\nc=2"),
    ],
)
def test_a_value_is_parsed_and_parsing_it_again_changes_nothing(
    value_type: value_types.ValueType, given: Any, value: Any
) -> None:
    assert value_type.parse(given) == value
    assert value_type.parse(value_type.parse(given)) == value


@pytest.mark.parametrize(
    ("value_type", "given"),
    [
        (value_types.WHOLE_SECONDS, ""),
        (value_types.RUN_TIME, "0"),
        (value_types.RUN_TIME, "0s"),
        (value_types.RUN_TIME, 0),
        (value_types.WHOLE_SECONDS, "1.5s"),
        (value_types.WHOLE_SECONDS, "-3"),
        (value_types.WHOLE_SECONDS, -3),
        (value_types.TIMEOUT, 0),
        (value_types.MASTER_TIMEOUT, "2.9s"),
        (value_types.SECONDS, "nan"),
        (value_types.SECONDS, float("inf")),
        (value_types.SECONDS, True),
        (value_types.SIZE, "0"),
        (value_types.SIZE, "12 parsecs"),
        (value_types.FLAG, "maybe"),
        (value_types.URL, "ftp://example.org"),
        (value_types.URL, "http://:80"),
        (value_types.URL, "http://example.org:99999"),
        (value_types.USERS, "-1"),
        (value_types.USERS, 0),
        (value_types.USERS, 1_000_001),
        (value_types.RATE, 0),
        (value_types.RATE, "10000001"),
        (value_types.RATE, "1e400"),
        # bytes of a command line that are not UTF-8
        (value_types.TEXT, "caf\udce9"),
        (value_types.NAMES, ["age", "caf\udce9"]),
        (value_types.HEADERS, "X: \udce9"),
        # an end of a line between two names that nothing quotes
        (value_types.NAMES, "age\nsex"),
        (value_types.PAIRS, "age=a\r\nsex=s"),
        # a key that a line would cut
        (value_types.PARAMS, {"a=b": 1}),
        (value_types.PARAMS, {"a\nb": 1}),
    ],
)
def test_what_a_value_type_does_not_accept_raises(value_type: value_types.ValueType, given: Any) -> None:
    with pytest.raises(ValueError):
        value_type.parse(given)


def test_every_default_is_a_value_of_its_own_type() -> None:
    for option in OPTIONS:
        if option.default not in (None, ""):
            assert option.value_type.parse(option.default) == option.default, option.name


def test_names_flags_environment_and_json_keys_are_each_used_once() -> None:
    for attribute in ("name", "flag", "env", "json_key"):
        values = [getattr(option, attribute) for option in OPTIONS]
        assert len(values) == len(set(values)), attribute
