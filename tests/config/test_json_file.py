from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inference_swarm.config.json_file import read_json_settings
from inference_swarm.errors import SettingProblem


def read(tmp_path: Path, text: str) -> tuple[dict[str, Any], list[str]]:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    problems: list[SettingProblem] = []
    return read_json_settings(path, problems), [str(problem) for problem in problems]


def test_every_documented_field_is_read_under_its_setting_name(tmp_path: Path) -> None:
    document = {
        "host": "http://h:1/",
        "users": 7,
        "spawn_rate": 2,
        "duration": "1m30s",
        "stop_timeout": "5s",
        "wait_time": {"min_seconds": 0.5, "max_seconds": 2},
        "pred_method": "predict_proba",
        "dataset_name": "diabetic",
    }
    values, problems = read(tmp_path, json.dumps(document))
    assert problems == []
    assert values == {
        "host": "http://h:1",
        "users": 7,
        "spawn_rate": 2.0,
        "duration_s": 90,
        "stop_timeout_s": 5,
        "wait_min_s": 0.5,
        "wait_max_s": 2.0,
        "pred_method": "predict_proba",
        "dataset_name": "diabetic",
    }


def test_a_missing_file_has_no_values_and_is_no_problem(tmp_path: Path) -> None:
    problems: list[SettingProblem] = []
    assert read_json_settings(tmp_path / "absent.json", problems) == {}
    assert problems == []


def test_null_means_not_set(tmp_path: Path) -> None:
    assert read(tmp_path, '{"model": null}') == ({}, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"usres": 5}', ["unknown key 'usres'", "did you mean 'users'?"]),
        ('{"wait_time": {"min_second": 1}}', ["'wait_time.min_second'", "did you mean 'wait_time.min_seconds'?"]),
        ('{"wait_time": 3}', ["'wait_time'", "wait_time.min_seconds, wait_time.max_seconds"]),
        ('{"users": "many"}', ['users is "many" (text)', "a whole number from 1 to 1,000,000"]),
        ('{"users": -3}', ["users is -3 (a number)", "a whole number from 1 to 1,000,000"]),
        ('{"users": true}', ["users is true (true or false)", "a whole number"]),
        ('{"users": 1.5}', ["users is 1.5", "a whole number"]),
        ('{"spawn_rate": 0}', ["spawn_rate is 0", "a number above 0"]),
        ('{"duration": "soon"}', ['duration is "soon"', "30s, 2m, 1h30m"]),
        ('{"host": "127.0.0.1:8000"}', ['host is "127.0.0.1:8000"', "begins with http:// or https://"]),
        ('{"dataset_name": 3}', ["dataset_name is 3 (a number)", "text"]),
        ('{"row_order": "backwards"}', ["row_order", "random, sequential, shuffle, once"]),
        ('{"users": 5,}', ["config.json, line 1, column 1", "this is not JSON"]),
        ("[1]", ["holds a list", "an object"]),
    ],
)
def test_what_cannot_be_used_is_named_with_file_value_and_expectation(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    values, problems = read(tmp_path, text)
    assert values == {}
    assert len(problems) == 1
    assert "config.json" in problems[0]
    for word in words:
        assert word in problems[0]


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    values, problems = read(tmp_path, '{"users": 0, "nope": 1, "model": "lgbm"}')
    assert values == {"model": "lgbm"}
    assert len(problems) == 2


def test_what_is_secret_is_not_repeated_when_it_is_wrong(tmp_path: Path) -> None:
    _, (problem,) = read(tmp_path, json.dumps({"headers": {"Authorization": "Bearer s3cret", "X-Count": 5}}))
    assert "headers is something else" in problem
    assert "Name: value" in problem
    assert "s3cret" not in problem
    assert read(tmp_path, json.dumps({"headers": ["A: 1", "B: 2"]}))[0] == {"headers": "A: 1\nB: 2"}
