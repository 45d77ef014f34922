"""The start form without a browser: which fields, which values, which words."""

from __future__ import annotations

from typing import Any

import pytest

from inference_swarm.config.answer_options import CHECKS
from inference_swarm.config.options import BY_NAME, OPTIONS
from inference_swarm.errors import ConfigError, DataError, SettingProblem
from inference_swarm.web.form import field_name, form_fields, problems_text, read_form

DEFAULTS = {option.name: option.default for option in OPTIONS}


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    return form_fields({**DEFAULTS, **values}, ["alpha", "beta"], ["own-model"])


def test_datasets_models_and_methods_are_choices_and_none_is_the_first() -> None:
    found = fields()
    assert found["dataset_name"]["choices"] == ["(none)", "alpha", "beta"]
    assert found["model"]["choices"] == ["(none)", "catboost", "lgbm", "own-model", "xgboost"]
    assert found["pred_method"]["choices"] == ["(none)", "predict", "predict_proba"]
    assert found["row_order"]["choices"] == ["random", "sequential", "shuffle", "once"]
    assert found["arrival"]["choices"] == ["closed", "constant", "poisson", "gamma", "trace"]


def test_what_is_set_is_shown_also_when_it_is_not_among_the_choices() -> None:
    found = fields(dataset_name="elsewhere", wait_max_s=1.5, row_memory_bytes=64 * 2**20, check_answer="consistent")
    assert found["dataset_name"]["default_value"] == "elsewhere"
    assert "elsewhere" in found["dataset_name"]["choices"]
    assert found["wait_max"]["default_value"] == "1.5"
    assert found["row_memory"]["default_value"] == "64MiB"
    assert (found["check_answer"]["default_value"], found["check_answer"]["choices"]) == ("consistent", [*CHECKS])
    assert found["rate"]["default_value"] == ""


def test_the_most_used_fields_come_first_and_every_field_has_help() -> None:
    found = fields()
    assert list(found)[:6] == ["dataset_name", "api", "model", "pred_method", "row_order", "batch_size"]
    assert [name for name, field in found.items() if not field["help_text"]] == []


def test_what_the_form_shows_can_be_sent_back_and_gives_the_same_values() -> None:
    values = {**DEFAULTS, "rate_rps": 500.0, "wait_max_s": 0.25, "slo": "p99<5ms"}
    shown = form_fields(values, [], [])
    sent = {
        name: str(field["default_value"]).lower()
        if isinstance(field["default_value"], bool)
        else field["default_value"]
        for name, field in shown.items()
    }
    got, problems = read_form(sent)
    assert problems == []
    assert got == {name: values[name] for name in got}
    assert len(got) == len(shown)


def test_locations_of_data_which_may_hold_secrets_are_in_no_field() -> None:
    found = fields(data="s3://KEY:SECRET@bucket/rows.parquet", labels="/private/labels.parquet")
    assert not {"data", "labels"} & set(found)
    assert "SECRET" not in str(found)
    assert read_form({"data": "/etc/passwd", "labels": "/etc/passwd"}) == ({}, [])  # refused in web/fields.py


def test_values_get_their_types_and_empty_ones_the_default() -> None:
    sent = {"user_count": "100", "spawn_rate": "2.5", "run_time": "1m30s", "host": "http://h:1/", "rate": "",
            "wait_min": "0.5", "row_memory": "1GiB", "check_answer": "true", "dataset_name": " a "}  # fmt: skip
    values, problems = read_form(sent)
    assert problems == []
    assert values == {
        "users": 100, "spawn_rate": 2.5, "duration_s": 90, "host": "http://h:1", "rate_rps": None,
        "wait_min_s": 0.5, "row_memory_bytes": 2**30, "check_answer": "valid", "dataset_name": "a",
    }  # fmt: skip


def test_an_empty_run_time_means_no_limit() -> None:
    assert read_form({"run_time": ""})[0] == {"duration_s": None}


def test_a_setting_may_be_sent_under_its_own_name() -> None:
    assert read_form({"wait_min_s": "1"})[0] == {"wait_min_s": 1.0}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("wait_min", "-1", "--wait-min is '-1' (start form). Expected: a number of seconds, 0 or more."),
        ("rate", "0", "--rate is '0' (start form). Expected: a number above 0, at most 10,000,000."),
        ("user_count", "1.5", "--users is '1.5' (start form). Expected: a whole number from 1 to 1,000,000."),
        ("row_order", "up", "--row-order is 'up' (start form). Expected: one of random, sequential, shuffle, once."),
        ("seed", "9223372036854775808",
         "--seed is '9223372036854775808' (start form). Expected: a whole number of at least 0 and below 2^63."),
        ("seed", "-1", "--seed is '-1' (start form). Expected: a whole number of at least 0 and below 2^63."),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_what_was_expected(name: str, text: str, words: str) -> None:
    values, problems = read_form({name: text})
    assert values == {}
    assert problems_text(ConfigError(problems)) == words


def test_every_problem_is_a_paragraph_of_its_own() -> None:
    problems = [SettingProblem("a is 1", expected="2?"), DataError("there is none", action="make one.")]
    assert problems_text(ConfigError(problems)) == "A is 1. Expected: 2?\nThere is none. Fix: make one."


def test_a_field_is_called_like_the_flag() -> None:
    assert field_name(BY_NAME["wait_min_s"]) == "wait_min"
    assert field_name(BY_NAME["slo"]) == "slo"
