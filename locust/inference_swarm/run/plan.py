"""Settings to a RunPlan: everything about a run that is known before it begins, parsed and checked once.

The same for command line, start form, API, headless, single process. What can be refused is refused here, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from inference_swarm.apis.checks import api_problems
from inference_swarm.apis.table import ready_path
from inference_swarm.config.documents import ReadSettingValues
from inference_swarm.config.settings import Settings
from inference_swarm.config.value_types import MAX_RATE, MAX_USERS
from inference_swarm.config.variants import variants_of
from inference_swarm.data.locate import Source, find_source, is_dataset_name
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError
from inference_swarm.judge.abort import AbortCondition, parse_abort_conditions
from inference_swarm.judge.objectives import Objective, parse_objective, parse_objectives, split_objectives
from inference_swarm.load.arrivals import ArrivalProcess, Schedule
from inference_swarm.load.stage_text import parse_stages
from inference_swarm.load.stages import Stages, format_stages, users_at
from inference_swarm.measure.phases import Phases, phases_of_run
from inference_swarm.measure.server_metrics import parse_choice, split_sources
from inference_swarm.measure.warm_up import parse_warm_up
from inference_swarm.run.ab import ab_problems
from inference_swarm.run.answer_plan import answer_problems, are_labels_needed, check_labels, resolve_recording
from inference_swarm.run.course import LoadPlan
from inference_swarm.run.named_files import read_stages_text, resolve_template
from inference_swarm.run.request_plan import request_problems
from inference_swarm.run.search_plan import first_step_of, resolve_search, search_problems
from inference_swarm.run.trace_plan import TRACE, trace_problems
from inference_swarm.transport.allowed import check_hosts_allowed, parse_patterns
from inference_swarm.transport.source_addresses import parse_source_addresses
from inference_swarm.transport.target import Target, parse_headers, target_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run before it begins. `sources` says where each setting came from."""

    settings: Settings
    sources: Mapping[str, str]
    target: Target
    source: Source
    objectives: tuple[Objective, ...]
    load: LoadPlan


def make_plan(settings: Settings, sources: Mapping[str, str], allowed: str, where: str) -> RunPlan:
    """Parse and check the settings. `allowed` are the patterns of `--allow-host` of `where`. Raises ConfigError."""
    problems: list[SwarmError] = []

    def tried(make: Callable[[], T]) -> T | None:
        try:
            return make()
        except SwarmError as error:
            problems.extend(error.problems if isinstance(error, ConfigError) else [error])
            return None

    settings = resolve_recording(resolve_search(resolve_template(resolve_stages(settings))))
    target = tried(lambda: target_of(settings))
    if settings.wait_ready_s is not None:
        tried(lambda: ready_path(settings))
    tried(lambda: check_hosts_allowed(settings, allowed, where))
    tried(lambda: [target_of(variant.settings) for variant in variants_of(settings)])
    source = tried(lambda: find_source(settings, are_labels_needed=are_labels_needed(settings)))
    if source is not None:
        tried(lambda: check_labels(settings, source))
    if problems or target is None or source is None:
        raise problems[0] if len(problems) == 1 else ConfigError(problems)
    return RunPlan(settings, dict(sources), target, source, tuple(objectives_of(settings)), load_of(settings))


def load_of(settings: Settings) -> LoadPlan:
    """Return the load and its duration."""
    users = first_users(settings)
    return LoadPlan(
        users=users[0] if users else settings.users,
        spawn_rate=users[1] if users else settings.spawn_rate,
        length_s=length_of(settings),
        stages=None if settings.is_open else stages_of(settings),
        schedule=schedule_of(settings),
        is_once=settings.row_order == "once",
        batch_size=settings.batch_size,
        load_timeout_s=settings.load_timeout_s + (settings.wait_ready_s or 0.0),
        stop_timeout_s=float(settings.stop_timeout_s),
        drop_after_s=settings.drop_after_s,
        requests=settings.requests,
        first_step=first_step_of(settings),
        asks_server=not settings.no_probe or settings.wait_ready_s is not None,
        connections_each=0 if settings.is_open else max(1, len(variants_of(settings))),
    )


def check_plan(values: ReadSettingValues) -> list[SettingProblem]:
    """Return problems of settings that are more than a value of their type."""
    _, problems = parse_objectives(split_objectives(values["slo"]))
    problems += _warm_up_problems(values) + request_problems(values)
    problems += _name_problems(values)
    try:
        problems += api_problems(resolve_template(Settings(**values)))
    except SettingProblem as problem:
        problems.append(problem)
    problems += parse_abort_conditions(values["abort_when"])[1]
    problems += search_problems(values) + _server_problems(values) + ab_problems(values) + answer_problems(values)
    problems += trace_problems(values)
    parsers = ((parse_headers, "headers"), (parse_patterns, "allow_host"), (parse_source_addresses, "source_address"))
    for parse, name in parsers:
        try:
            parse(values[name])
        except SettingProblem as problem:
            problems.append(problem)
    if values["stages"]:
        try:
            stages = parse_stages(read_stages_text(values["stages"]))
        except SettingProblem as problem:
            problems.append(problem)
        else:
            problems += _stage_problems(stages, is_open=values["arrival"] != "closed")
    return problems


def _stage_problems(stages: Stages, *, is_open: bool) -> list[SettingProblem]:
    highest, most = stages.highest, MAX_RATE if is_open else MAX_USERS
    if not is_open and highest < 1:
        return [SettingProblem(f"--stages has at most {highest:g} users", expected="at least one user in some stage")]
    if highest > most:
        what = "requests a second" if is_open else "users"
        return [SettingProblem(f"--stages has up to {highest:g} {what}", expected=f"at most {most:,}")]
    return []


def _server_problems(values: ReadSettingValues) -> list[SettingProblem]:
    problems = []
    for text in split_sources(values["server_metric"]):
        try:
            parse_choice(text)
        except SettingProblem as problem:
            problems.append(problem)
    problems += [
        SettingProblem(f"--server-metrics is {text!r}", expected="an address such as http://127.0.0.1:8002/metrics")
        for text in split_sources(values["server_metrics"])
        if not text.startswith(("http://", "https://"))
    ]
    return problems


def _name_problems(values: ReadSettingValues) -> list[SettingProblem]:
    """Return the problems of folder names that would leave their parent folder."""
    flags = {"dataset_name": "--dataset-name", "run_name": "--run-name"}
    return [
        SettingProblem(
            f"{flag} is {values[name]!r}",
            expected="the name of one folder: no slash, no backslash, no control character, not `.` and not `..`, "
            "and of at most 200 bytes",
            action="give the name only; other data than a dataset's is what --data is for"
            if name == "dataset_name"
            else "give the name only; --results says where the folders of runs are",
        )
        for name, flag in flags.items()
        if values[name] and not is_dataset_name(values[name])
    ]


def objectives_of(settings: Settings) -> list[Objective]:
    """Return the objectives of `--slo`, which were checked at start."""
    return [parse_objective(text) for text in split_objectives(settings.slo)]


def abort_conditions_of(settings: Settings) -> list[AbortCondition]:
    """Return the conditions of `--abort-when`, which were checked at start."""
    return parse_abort_conditions(settings.abort_when)[0]


def resolve_stages(settings: Settings) -> Settings:
    """Return settings with the stages instead of a file's name, which workers cannot read; stages set the duration."""
    if not settings.stages:
        return settings
    stages = parse_stages(read_stages_text(settings.stages))
    # As short as it goes, for the results; what is read must be what was meant.
    short = format_stages(stages)
    text = short if parse_stages(short) == stages else read_stages_text(settings.stages)
    return replace(settings, stages=text, duration_s=None)


def stages_of(settings: Settings) -> Stages | None:
    """Return the stages of the rate or the users; None when neither changes by stages."""
    return parse_stages(settings.stages) if settings.stages else None


def length_of(settings: Settings) -> float | None:
    """Return the length of the run in s; None: until it is stopped."""
    stages = stages_of(settings)
    return stages.duration_s if stages else settings.duration_s


def schedule_of(settings: Settings) -> Schedule | None:
    """Return the schedule of an open load; None for a closed one, and for a trace, which must be read first."""
    if not settings.is_open or settings.arrival == TRACE:
        return None
    rate = stages_of(settings)
    if rate is None:
        assert settings.rate_rps is not None
        length_s = settings.duration_s
        rate = Stages.constant(settings.rate_rps, length_s) if length_s else Stages.constant(settings.rate_rps)
    return Schedule(ArrivalProcess(settings.arrival), rate, settings.seed, settings.burstiness, settings.requests)


def phases_of(settings: Settings) -> Phases:
    """Return the phases of the run: warm-up and stages."""
    stages = stages_of(settings)
    lengths_s = [] if stages is None else [stage.duration_s for stage in stages.stages]
    return phases_of_run(lengths_s, parse_warm_up(settings.warm_up).duration_s)


def _warm_up_problems(values: ReadSettingValues) -> list[SettingProblem]:
    try:
        warm_up_s = parse_warm_up(values["warm_up"]).duration_s
    except SettingProblem as problem:
        return [problem]
    length_s = values["duration_s"]
    if length_s and not values["stages"] and warm_up_s >= length_s:
        return [
            SettingProblem(
                f"--warm-up is {values['warm_up']} and --run-time {length_s:g} s: nothing is left to be measured",
                expected="a warm-up shorter than the run, which it is part of",
            )
        ]
    return []


def first_users(settings: Settings) -> tuple[int, float] | None:
    """Return the users and spawn rate of a run's begin where other settings decide them."""
    if settings.record_answers:
        users = resolve_recording(settings).users
        return users, float(users)
    if settings.find_capacity:
        users = resolve_search(settings).users
        return users, float(users)
    if settings.is_open:
        # An open load needs its senders from its first arrival on.
        users = settings.max_in_flight or settings.users
        return users, float(users)
    stages = stages_of(resolve_stages(settings))
    if stages is None:
        return (settings.users, settings.spawn_rate) if settings.scenario else None
    users_at_start = users_at(stages, 0.0)
    assert users_at_start is not None
    return max(1, users_at_start[0]), users_at_start[1]
