"""Settings of a capture (`--trace-format`): what does not go with bodies that are sent as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.load_options import COLUMNS, SAGEMAKER
from inference_swarm.config.options import BY_NAME
from inference_swarm.errors import SettingProblem

_OF_ROWS: Final = ("columns", "drop_columns", "rename", "label_column", "labels", "expect_answers")
_OF_BODIES: Final = ("body_format", "binary", "column_types", "fill_null", "api_params")


def capture_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return what is missing for a capture or contradicts it, when `--arrival` is trace."""
    trace_format = values["trace_format"]
    if trace_format == COLUMNS:
        return []
    return [*_missing(values), *_others(values)]


def _missing(values: ReadSettingValues) -> Iterator[SettingProblem]:
    if not values["data"]:
        yield SettingProblem(
            f"--trace-format is {values['trace_format']} and --data is not set",
            expected="the files of the capture, or their folder",
            action="give --data",
        )


def _others(values: ReadSettingValues) -> Iterator[SettingProblem]:
    shown = f"--trace-format is {values['trace_format']} and"
    for names, why in (
        (_OF_ROWS, "a record is a request, which may have any number of rows"),
        (_OF_BODIES, "bodies are sent as they were recorded"),
    ):
        for option in map(BY_NAME.__getitem__, names):
            if values[option.name] != option.default:
                yield SettingProblem(
                    f"{shown} {option.flag} is given",
                    expected=f"one of them: {why}",
                    action="leave one of them out",
                )
    if values["api"] == "template":
        yield SettingProblem(
            f"{shown} --api is template",
            expected="an --api that has a path, and says where the predictions of a response are",
            action="choose another --api, with --path if need be",
        )
    if values["trace_format"] != SAGEMAKER:
        return
    if values["time_column"]:
        yield SettingProblem(
            f"{shown} --time-column is given",
            expected="one of them: its instants are in eventMetadata.inferenceTime",
            action="leave --time-column out",
        )
    headers = (line.partition(":")[0].strip().lower() for line in values["headers"].splitlines())
    if "content-type" in headers:
        yield SettingProblem(
            f"{shown} --header has a Content-Type",
            expected="no such header: each request has the content type that was recorded",
            action="leave it out",
        )
