"""Our settings in the start form of Locust's page: options in, fields out; sent values in, typed values out.

A field is named as the option's flag (`wait_min` for --wait-min), since the page makes its label of that name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from inference_swarm.config.documents import Document, ReadSettingValues, SettingValues
from inference_swarm.config.option import Option
from inference_swarm.config.options import BY_NAME, METHODS, OPTIONS
from inference_swarm.config.scenarios import SCENARIOS
from inference_swarm.config.value_types import FLAG, SIZE
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError
from inference_swarm.load.stage_text import EXPECTED, is_stages_text

MODELS = ("catboost", "lgbm", "xgboost")
# An empty choice has no line to read, nor for a screen reader.
NONE = "(none)"
# The most used first; short, because the page writes them into the label of the field.
_HELP: Mapping[str, str] = {
    "dataset_name": "whose rows are sent",
    "api": "of the server",
    "model": "by its name",
    "pred_method": "of the model",
    "row_order": "of the dataset",
    "batch_size": "rows in a request",
    "slo": "such as p99<50ms",
    "wait_min_s": "shortest pause, s",
    "wait_max_s": "longest pause, s",
    "scenario": "MLPerf's rules",
    "arrival": "closed: users wait",
    "burstiness": "of gamma; 1: Poisson",
    "rate_rps": "per s, if not closed",
    "speed": "of a trace; 2: twice as fast",
    "loop": "begin the trace again",
    "requests": "ends with this number",
    "stages": "30s@500,1m->800",
    "abort_when": "error_rate>50% for 10s",
    "find_capacity": "the highest rate within slo",
    "capacity_by": "requests/s, or users",
    "precision": "how close to come",
    "confirm_s": "the answer must hold",
    "budget_s": "of the whole search",
    "warm_up": "left out, such as 10s",
    "ab": "model=one,other",
    "seed": "of all that is random",
    "row_memory_bytes": "on each worker",
    "model_version": "in the path",
    "path": "empty: that of the API",
    "body_format": "of API invocation",
    "expect_status": "counts as success",
    "check_answer": "must hold predictions",
    "answer_sample": "1: all are checked",
    "no_probe": "no row before the run",
    "wait_ready_s": "such as 60s",
}
# What Locust's own fields are called, by the name of the setting.
LOCUST_FIELDS: Mapping[str, str] = {
    "host": "host",
    "users": "user_count",
    "spawn_rate": "spawn_rate",
    "duration_s": "run_time",
}


def field_name(option: Option) -> str:
    """The flag without its dashes."""
    return option.flag.removeprefix("--").replace("-", "_")


def form_options() -> list[Option]:
    """Our options in the form, in the order of the form."""
    shown = [option for option in OPTIONS if option.in_start_form and option.locust_dest is None]
    places = {name: place for place, name in enumerate(_HELP)}
    return sorted(shown, key=lambda option: places.get(option.name, len(places)))


def form_fields(values: ReadSettingValues, datasets: Sequence[str], models: Iterable[str]) -> dict[str, Document]:
    """The fields as Locust's page takes them (`extra_options`); `values` are those of the settings now, by name."""
    choices: dict[str, Sequence[str]] = {
        "dataset_name": [NONE, *datasets],
        "model": [NONE, *sorted({*MODELS, *models} - {""})],
        "pred_method": [NONE, *METHODS],
        "scenario": [NONE, *SCENARIOS],
    }
    fields = {}
    for option in form_options():
        value = values.get(option.name, option.default)
        among = list(choices.get(option.name) or option.choices or ())
        if option.name in choices and value == "":
            value = NONE
        if among and value not in among:
            among.append(value)
        fields[field_name(option)] = {
            "default_value": _shown(option, value),
            "is_secret": False,
            "is_required": False,
            "help_text": _HELP.get(option.name, ""),
            "is_multiple": False,
            "choices": among or None,
        }
    return fields


def _shown(option: Option, value: object) -> object:
    if option.value_type is FLAG:
        return bool(value)
    if option.value_type is SIZE and isinstance(value, int) and value % 2**20 == 0:
        return f"{value // 2**20}MiB"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


_NO_STAGES = SettingProblem(
    "--stages holds no stage (start form)",
    expected=EXPECTED,
    action="give the stages themselves: the name of a file is for the command line",
)


def read_form(sent: Mapping[str, str]) -> tuple[SettingValues, list[SwarmError]]:
    """Typed values by the name of the setting, of our options and of Locust's, and a problem for each bad one.

    A setting may be sent under the name of its field or its own; what was not sent is left out. Empty means
    the default, and for the run time no limit.
    """
    values: SettingValues = {}
    problems: list[SwarmError] = []
    options = [*form_options(), *(BY_NAME[name] for name in LOCUST_FIELDS)]
    for option in options:
        key = next(
            (key for key in (LOCUST_FIELDS.get(option.name, field_name(option)), option.name) if key in sent), ""
        )
        if not key:
            continue
        text = sent[key].strip()
        if text in ("", NONE):
            values[option.name] = None if option.name in LOCUST_FIELDS else option.default
            continue
        if option.name == "stages" and not is_stages_text(text):
            problems.append(_NO_STAGES)
            continue
        try:
            values[option.name] = option.value_type.parse(text)
        except (ValueError, TypeError, OverflowError):
            problems.append(
                SettingProblem(f"{option.flag} is {text!r} (start form)", expected=option.value_type.expected)
            )
    return values, problems


def our_keys() -> set[str]:
    """Return all names of fields that Locust must not read, as it keeps neither types nor empty values."""
    return {key for option in form_options() for key in (field_name(option), option.name)} | {"run_time", "duration_s"}


def problems_text(error: SwarmError) -> str:
    """Return what the page shows: a paragraph for each problem."""
    problems = error.problems if isinstance(error, ConfigError) else [error]
    return "\n".join(_paragraph(problem) for problem in problems)


def _paragraph(problem: SwarmError) -> str:
    found = problem.found if problem.found.startswith("--") else problem.found[:1].upper() + problem.found[1:]
    parts = [found, f"Expected: {problem.expected}" if problem.expected else ""]
    parts.append(f"Fix: {problem.action}" if problem.action else "")
    return " ".join(part if part.endswith(("?", ".")) else f"{part}." for part in parts if part)
