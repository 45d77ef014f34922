"""Every setting from every place, by the real command: default < config.json < environment < command line."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import ROOT, Swarm

from inference_swarm.config.capacity_options import CAPACITY_OPTIONS
from inference_swarm.config.options import OPTIONS, Option

pytestmark = pytest.mark.processes

# Three different values for each setting: of config.json, of the environment, of the command line.
BY_KIND: dict[str, tuple[Any, Any, Any]] = {
    "text": ("from-file", "from-environment", "from-command-line"),
    "url": ("http://file:1", "http://environment:2", "http://line:3"),
    "count": (11, 12, 13),
    "integer": (21, 22, 23),
    "port": (24, 25, 26),
    "seconds": (1.5, 2.5, 3.5),
    "rate": (4.5, 5.5, 6.5),
    "duration": (31, 32, 33),
    "timeout": (7.5, 8.5, 9.5),
    "size": (1024, 2048, 4096),
    "flag": (True, False, True),
    "names": ("a=b", "c=d", "e=f"),
    "texts": ("p99<1ms", "p99<2ms", "p99<3ms"),
    "pairs": ("a=1", "b=2", "c=3"),
    "param": ("a=1", "b=2", "c=3"),
    "share": ("10%", "20%", "30%"),
    "number": (0.1, 0.2, 0.3),
    "check": ("valid", "consistent", "off"),
}
BY_NAME: dict[str, tuple[Any, Any, Any]] = {
    "wait_max_s": (10.5, 20.5, 30.5),  # never below wait_min_s
    "arrival": ("constant", "poisson", "constant"),
    "log_level": ("DEBUG", "WARNING", "ERROR"),
    "row_order": ("sequential", "shuffle", "once"),
    "body_format": ("instances", "split", "row"),
    "run_name": ("file-run", "environment-run", "line-run"),
    "expect_status": ("201", "202", "203"),
    "warm_up": ("1s", "2s", "3s"),
    "abort_when": ("error_rate>1% for 1s", "error_rate>2% for 1s", "error_rate>3% for 1s"),
    "source_address": ("127.0.0.1", "127.0.0.2", "127.0.0.1,127.0.0.2"),
    "allow_host": ("one.example", "two.example", "three.example"),
}
# Stages stand for the rate, headers show no values, others go with one API or a search only; below by themselves.
OF_SOME_APIS = {"api", "model_version", "api_params", "template", "predictions", "column_types", "binary"}
OF_A_SEARCH = {option.name for option in CAPACITY_OPTIONS} - {"server_pid"}
OF_A_TRACE = {"time_column", "trace_format", "speed", "loop"}
BY_THEMSELVES = {"scenario", "stages", "headers", "burstiness", "requests", "ab", "record_answers"}
SKIPPED = BY_THEMSELVES | OF_A_TRACE | OF_SOME_APIS | OF_A_SEARCH


def values_of(option: Option) -> tuple[Any, Any, Any]:
    return BY_NAME.get(option.name) or BY_KIND[option.value_type.name]


def config_document() -> dict[str, Any]:
    document: dict[str, Any] = {}
    for option in OPTIONS:
        if option.name in SKIPPED:
            continue
        group, _, key = option.json_key.rpartition(".")
        (document.setdefault(group, {}) if group else document)[key] = values_of(option)[0]
    return document


def environment() -> dict[str, str]:
    return {option.env: str(values_of(option)[1]) for option in OPTIONS if option.name not in SKIPPED}


def command_line() -> list[str]:
    return [f"{option.flag}={values_of(option)[2]}" for option in OPTIONS if option.name not in SKIPPED]


def printed(swarm: Swarm, *arguments: str, env: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """(value, source) by setting name, from --print-settings."""
    result = swarm.run("--print-settings", *arguments, env=env)
    assert result.returncode == 0, result.stderr
    heads, *lines = result.stdout.splitlines()
    columns = [heads.index(head) for head in ("setting", "value", "from", "flag")]
    cells = [[line[a:b].strip() for a, b in pairwise(columns)] for line in lines]
    return {name: (value, source) for name, value, source in cells}


def check(table: dict[str, tuple[str, str]], place: int, source: str) -> None:
    for option in OPTIONS:
        if option.name in SKIPPED:
            continue
        value, found_source = table[option.name]
        assert value == str(option.value_type.parse(values_of(option)[place])), option.name
        assert source in found_source, option.name


def test_config_json_wins_over_the_default_for_every_field(swarm: Swarm) -> None:
    swarm.write_config(config_document())
    check(printed(swarm), 0, "config.json")


def test_the_environment_wins_over_config_json_for_every_field(swarm: Swarm) -> None:
    swarm.write_config(config_document())
    check(printed(swarm, env=environment()), 1, "environment ")


def test_the_command_line_wins_over_everything_for_every_field(swarm: Swarm) -> None:
    swarm.write_config(config_document())
    check(printed(swarm, *command_line(), env=environment()), 2, "command line")


@pytest.mark.parametrize(
    ("api", "values"),
    [
        ("open-inference", {"column_types": ("a=FP16", "a=FP32", "a=FP64"), "model_version": ("1", "2", "3"),
                            "api_params": ("x=1", "x=2", "x=3"), "binary": (False, True, False)}),
        ("template", {"template": ("{{row}}", "{{rows}}", "{{columns}}"), "predictions": ("$.a", "$.b", "$.c")}),
    ],
)  # fmt: skip
def test_settings_of_one_api_come_from_the_same_places(
    api: str, values: dict[str, tuple[Any, Any, Any]], swarm: Swarm
) -> None:
    options = [option for option in OPTIONS if option.name in values]
    swarm.write_config({"api": api, **{option.json_key: values[option.name][0] for option in options}})
    environment = {option.env: str(values[option.name][1]) for option in options}
    typed = [f"{option.flag}={values[option.name][2]}" for option in options]
    for place, table in enumerate(
        (printed(swarm), printed(swarm, env=environment), printed(swarm, *typed, env=environment))
    ):
        assert table["api"] == (api, str(swarm.config))
        assert {name: table[name][0] for name in values} == {name: str(of[place]) for name, of in values.items()}


def test_a_number_of_requests_comes_from_the_same_places(swarm: Swarm) -> None:
    swarm.write_config({"requests": 25})
    assert printed(swarm)["requests"] == ("25", str(swarm.config))
    env = {"SWARM_REQUESTS": "50"}
    assert printed(swarm, env=env)["requests"][0] == "50"
    assert printed(swarm, "--requests=2", env=env)["requests"] == ("2", "command line")


def test_a_scenario_comes_from_the_same_places_and_its_presets_say_so(swarm: Swarm) -> None:
    swarm.write_config({"users": 50, "duration": "30s", "scenario": "single-stream", "slo": "p99<1s"})
    table = printed(swarm)
    assert table["scenario"] == ("single-stream", str(swarm.config))
    assert table["users"] == ("1", "scenario single-stream")
    assert table["duration_s"] == ("600", "scenario single-stream")
    env = {"SWARM_SCENARIO": "multi-stream", "LOCUST_RUN_TIME": "7"}
    table = printed(swarm, env=env)
    assert table["batch_size"] == ("8", "scenario multi-stream")
    assert table["duration_s"] == ("7", "environment LOCUST_RUN_TIME")
    table = printed(swarm, "--scenario=server", "--confirm=20s", env=env)
    assert table["scenario"] == ("server", "command line")
    assert table["find_capacity"] == ("True", "scenario server")
    assert table["confirm_s"] == ("20.0", "command line")


def test_settings_of_a_trace_come_from_the_same_places(swarm: Swarm) -> None:
    swarm.write_config({"arrival": "trace", "time_column": "a", "speed": 2, "loop": True})
    env = {"SWARM_TIME_COLUMN": "b", "SWARM_SPEED": "3", "SWARM_LOOP": "false"}
    typed = ("--time-column=c", "--speed=4", "--loop")
    tables = printed(swarm), printed(swarm, env=env), printed(swarm, *typed, env=env)
    shown = [[table[name][0] for name in ("arrival", "time_column", "speed", "loop")] for table in tables]
    assert shown == [["trace", "a", "2.0", "True"], ["trace", "b", "3.0", "False"], ["trace", "c", "4.0", "True"]]


def test_the_format_of_a_capture_comes_from_the_same_places(swarm: Swarm) -> None:
    swarm.write_config({"arrival": "trace", "data": "captures", "trace_format": "sagemaker-data-capture"})
    env = {"SWARM_TRACE_FORMAT": "inference-table"}
    typed = "--trace-format=sagemaker-data-capture"
    tables = printed(swarm), printed(swarm, env=env), printed(swarm, typed, env=env)
    assert [table["trace_format"] for table in tables] == [
        ("sagemaker-data-capture", str(swarm.config)),
        ("inference-table", "environment SWARM_TRACE_FORMAT"),
        ("sagemaker-data-capture", "command line"),
    ]


def test_burstiness_comes_from_the_same_places(swarm: Swarm) -> None:
    swarm.write_config({"arrival": "gamma", "rate": 5, "burstiness": 0.25})
    assert printed(swarm)["burstiness"] == ("0.25", str(swarm.config))
    env = {"SWARM_BURSTINESS": "0.5"}
    assert printed(swarm, env=env)["burstiness"][0] == "0.5"
    assert printed(swarm, "--burstiness=2", env=env)["burstiness"] == ("2.0", "command line")


def test_the_file_for_answers_comes_from_the_same_places(swarm: Swarm) -> None:
    """By itself: a run that records answers brings its own load."""
    swarm.write_config({"record_answers": "file.parquet"})
    env = {"SWARM_RECORD_ANSWERS": "environment.parquet"}
    tables = printed(swarm), printed(swarm, env=env), printed(swarm, "--record-answers=line.parquet", env=env)
    assert [table["record_answers"][0] for table in tables] == ["file.parquet", "environment.parquet", "line.parquet"]


@pytest.mark.parametrize(
    ("words", "value"), [((), "off"), (("--check-answer",), "valid"), (("--check-answer=true",), "valid")]
)
def test_checking_answers_without_a_word_means_their_form(swarm: Swarm, words: tuple[str, ...], value: str) -> None:
    assert printed(swarm, *words)["check_answer"][0] == value


def test_settings_of_a_search_come_from_the_same_places(swarm: Swarm) -> None:
    places = {
        "capacity_by": ("users", "rate", "users"),
        "precision": ("1%", "2%", "3%"),
        "confirm_s": (1, 2, 3),
        "step_max_s": (4, 5, 6),
        "budget_s": (70, 80, 90),
        "server_metrics": ("http://a:1", "http://b:2", "http://c:3"),
        "server_metric": ("up", "down", "left"),
    }
    options = [option for option in OPTIONS if option.name in places]
    of_all = {"find_capacity": True, "slo": "p99<50ms"}
    swarm.write_config(of_all | {option.json_key: places[option.name][0] for option in options})
    environment = {option.env: str(places[option.name][1]) for option in options}
    typed = [f"{option.flag}={places[option.name][2]}" for option in options]
    for place, table in enumerate(
        (printed(swarm), printed(swarm, env=environment), printed(swarm, *typed, env=environment))
    ):
        for option in options:
            assert table[option.name][0] == str(option.value_type.parse(places[option.name][place])), option.name


def test_without_any_of_them_the_defaults_stand(swarm: Swarm) -> None:
    table = printed(swarm)
    for option in OPTIONS:
        expected = "" if option.default is None else str(option.default)
        assert table[option.name] == (expected, "built-in default"), option.name


def test_an_empty_variable_clears_what_may_be_empty_and_counts_as_not_set_elsewhere(swarm: Swarm) -> None:
    swarm.write_config(config_document())
    table = printed(swarm, env={**{option.env: "" for option in OPTIONS}, "SWARM_ARRIVAL": "closed"})  # needs no rate
    for option in OPTIONS:
        if option.name in {*SKIPPED, "arrival"}:
            continue
        value, source = table[option.name]
        if option.locust_dest is None and option.default in ("", None):
            assert (value, source) == ("", f"environment {option.env}"), option.name
        else:
            assert value == str(option.value_type.parse(values_of(option)[0])), option.name
            assert "config.json" in source


def test_an_empty_option_clears_what_the_environment_and_config_json_say(swarm: Swarm) -> None:
    swarm.write_config({"model": "from-file"})
    table = printed(swarm, "--model", "", "--dataset-name=", env={"DATASET_NAME": "from-environment"})
    assert table["model"] == table["dataset_name"] == ("", "command line")


def test_the_config_json_that_is_shipped_asks_the_server_for_nothing(swarm: Swarm) -> None:
    shipped = json.loads((ROOT / "locust" / "config.json").read_text())
    swarm.write_config(shipped)
    table = printed(swarm)
    assert shipped["users"] == 50
    assert [table[name][0] for name in ("dataset_name", "model", "pred_method", "data", "headers")] == [""] * 5


def test_secrets_in_locations_are_not_printed(swarm: Swarm) -> None:
    printed_text = swarm.run(
        "--print-settings",
        "--data",
        "s3://KEY:SECRET@bucket/x,s3://b/y?secret_key=SECRET",
        "--labels",
        "s3://K:SECRET@b/y",
    ).stdout
    assert "s3://bucket/x,s3://b/y" in printed_text
    assert "SECRET" not in printed_text


def test_stages_come_from_every_place_too(swarm: Swarm) -> None:
    swarm.write_config({"stages": "1s@1"})
    assert printed(swarm)["stages"][0] == "1s@1"
    assert printed(swarm, env={"SWARM_STAGES": "2s@2"})["stages"] == ("2s@2", "environment SWARM_STAGES")
    assert printed(swarm, "--stages", "3s@3", env={"SWARM_STAGES": "2s@2"})["stages"] == ("3s@3", "command line")


def test_objectives_add_up_on_the_command_line_and_replace_those_of_lower_places(swarm: Swarm) -> None:
    swarm.write_config({"slo": ["p99<1ms", "mean<2ms"]})
    assert printed(swarm)["slo"][0] == "p99<1ms; mean<2ms"
    assert printed(swarm, "--slo", "p50<3ms", "--slo", "rate>=4")["slo"] == ("p50<3ms; rate>=4", "command line")


def test_headers_are_sent_and_their_values_are_in_no_output(swarm: Swarm, recording: Recording, tmp_path: Path) -> None:
    swarm.write_config({"headers": {"X-Team": "fraud"}})
    assert printed(swarm)["headers"] == ("X-Team: …", str(swarm.config))
    assert printed(swarm, env={"SWARM_HEADERS": "X-Env: a"})["headers"] == ("X-Env: …", "environment SWARM_HEADERS")
    typed = printed(swarm, "--header", "Authorization: Bearer s3cret", "--header", "X-Two: s3cret")
    assert typed["headers"] == ("Authorization: …; X-Two: …", "command line")
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3]}), rows)
    result = swarm.run(
        "--headless", "--host", recording.url, "--data", str(rows), "--results", str(swarm.results), "-u", "1",
        "-t", "1s", "--processes", "1", "--master-bind-port", str(swarm.master_port), "--master-port",
        str(swarm.master_port), "-L", "DEBUG", env={"SWARM_HEADERS": "Authorization: Bearer s3cret\nX-Two: s3cret"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert b"\r\nAuthorization: Bearer s3cret\r\nX-Two: s3cret\r\n" in recording.last_head
    (folder,) = swarm.run_folders()
    assert swarm.summary()["settings"]["headers"]["value"] == "Authorization: …\nX-Two: …"
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"s3cret" not in written
    assert "s3cret" not in result.stdout + result.stderr
