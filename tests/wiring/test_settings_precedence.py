"""Every setting from every place, by the real command: default < config.json < environment < command line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recording_server import Recording
from swarm_processes import Swarm

from inference_swarm.config.options import OPTIONS, Option

pytestmark = pytest.mark.processes

# Three different values for each setting: of config.json, of the environment, of the command line.
BY_KIND: dict[str, tuple[Any, Any, Any]] = {
    "text": ("from-file", "from-environment", "from-command-line"),
    "url": ("http://file:1", "http://environment:2", "http://line:3"),
    "count": (11, 12, 13),
    "integer": (21, 22, 23),
    "seconds": (1.5, 2.5, 3.5),
    "rate": (4.5, 5.5, 6.5),
    "duration": (31, 32, 33),
    "timeout": (7.5, 8.5, 9.5),
    "size": (1024, 2048, 4096),
    "flag": (True, False, True),
    "texts": ("p99<1ms", "p99<2ms", "p99<3ms"),
}
BY_NAME: dict[str, tuple[Any, Any, Any]] = {
    "wait_max_s": (10.5, 20.5, 30.5),  # never below wait_min_s
    "arrival": ("constant", "poisson", "constant"),
    "log_level": ("DEBUG", "WARNING", "ERROR"),
    "row_order": ("sequential", "shuffle", "once"),
    "body_format": ("instances", "split", "row"),
    "run_name": ("file-run", "environment-run", "line-run"),
    "expect_status": ("201", "202", "203"),
}
SKIPPED = {"stages", "headers"}  # stages stand for the rate, headers show no values; below by themselves


def values_of(option: Option) -> tuple[Any, Any, Any]:
    return BY_NAME.get(option.name) or BY_KIND[option.kind.name]


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
        assert value == str(option.kind.parse(values_of(option)[place])), option.name
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


def test_without_any_of_them_the_defaults_stand(swarm: Swarm) -> None:
    table = printed(swarm)
    for option in OPTIONS:
        expected = "" if option.default is None else str(option.default)
        assert table[option.name] == (expected, "built-in default"), option.name


def test_an_empty_variable_counts_as_not_set(swarm: Swarm) -> None:
    swarm.write_config(config_document())
    check(printed(swarm, env={option.env: "" for option in OPTIONS}), 0, "config.json")


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
