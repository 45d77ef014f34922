"""Settings of one run: parsed options in, one validated frozen record out. Knows no parser, file or environment."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import asdict, dataclass

from inference_swarm.config.documents import ReadSettingValues, SettingValues
from inference_swarm.config.option import Option
from inference_swarm.config.options import OPTIONS
from inference_swarm.config.redaction import locations_without_secrets
from inference_swarm.config.variants import parse_ab
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a run under the name it has in `options.OPTIONS`."""

    host: str | None
    users: int
    spawn_rate: float
    duration_s: int | None
    stop_timeout_s: int
    log_level: str
    dataset_name: str
    model: str
    pred_method: str
    wait_min_s: float
    wait_max_s: float
    scenario: str
    arrival: str
    time_column: str
    trace_format: str
    speed: float
    loop: bool
    burstiness: float
    rate_rps: float | None
    stages: str
    requests: int | None
    max_in_flight: int | None
    late_after_s: float
    drop_after_s: float
    slo: str
    warm_up: str
    abort_when: str
    find_capacity: bool
    capacity_by: str
    precision: float
    confirm_s: float
    step_max_s: float
    budget_s: float
    at_least_rps: float | None
    target_rate_rps: float | None
    ab: str
    server_metrics: str
    server_metric: str
    server_pid: int | None
    baseline: str
    max_regression: str
    junit: str
    markdown: str
    metrics_port: int | None
    data: str
    columns: str
    drop_columns: str
    rename: str
    label_column: str
    labels: str
    row_order: str
    batch_size: int
    seed: int
    row_memory_bytes: int
    api: str
    path: str
    model_version: str
    api_params: str
    template: str
    predictions: str
    column_types: str
    fill_null: str
    binary: bool
    body_format: str
    expect_status: str
    check_answer: str
    record_answers: str
    expect_answers: str
    answer_tolerance: float
    answer_sample: float
    no_probe: bool
    wait_ready_s: float | None
    headers: str
    connect_timeout_s: float
    request_timeout_s: float
    connection_lifetime_s: float | None
    source_address: str
    ca_file: str
    client_cert: str
    client_key: str
    insecure: bool
    results_dir: str
    load_timeout_s: float
    run_name: str
    allow_host: str
    web_host_names: str
    swarm_keys: str
    master_timeout_s: float

    @property
    def is_open(self) -> bool:
        """True when requests are sent at a rate, not by users who wait for responses."""
        return self.arrival != "closed"

    @property
    def checks_answers(self) -> bool:
        """True when a response without a prediction for each row is a failure."""
        return self.check_answer != "off"

    def to_dict(self) -> SettingValues:
        """Return plain values, for messages."""
        return asdict(self)

    def to_record(self) -> SettingValues:
        """Return plain values without secrets, for results and output."""
        values = self.to_dict()
        for option in OPTIONS:
            if option.is_secret:
                lines = values[option.name].splitlines()
                values[option.name] = "\n".join(f"{line.partition(':')[0]}: …" for line in lines)
            elif option.holds_locations:
                values[option.name] = locations_without_secrets(values[option.name])
            elif option.hides_query and values[option.name]:
                parts = values[option.name].split(",") if option.name == "ab" else [values[option.name]]
                values[option.name] = ",".join(part.partition("?")[0] for part in parts)
        return values


def resolve_settings(
    read: Callable[[Option], object],
    describe_source: Callable[[Option], str],
    checks: tuple[Check, ...] = (),
    *,
    is_host_required: bool = True,
) -> Settings:
    """Build the settings from what `read` returns for each option.

    Raises ConfigError with every problem at once; `describe_source` says where a value came from. `checks` are those of
    later stages (a bad objective, say), which this stage must not import. The host may be missing only while the web UI
    can still ask for it.
    """
    values: SettingValues = {}
    problems: list[SwarmError] = []
    unread: set[str] = set()  # their defaults stand in for them, and are nothing to complain about
    for option in OPTIONS:
        raw = read(option)
        if raw is None or (raw == "" and option.default in (None, "")):
            values[option.name] = option.default
            continue
        try:
            values[option.name] = option.value_type.parse(raw)
        except (ValueError, TypeError, OverflowError):
            source = describe_source(option)
            problems.append(SettingProblem(f"{option.flag} is {raw!r} ({source})", expected=option.value_type.expected))
            values[option.name] = option.default
            unread.add(option.name)
    problems += _use_first_variant(values)
    if is_host_required and not values["host"] and "host" not in unread:
        problems.append(_NO_HOST)
    problems += _cross_problems(values, describe_source, unread)
    for check in checks:
        problems += check(values)
    if problems:
        raise ConfigError(problems)
    return Settings(**values)


def _use_first_variant(values: SettingValues) -> list[SwarmError]:
    try:
        choice = parse_ab(values["ab"])
    except SettingProblem as problem:
        return [problem]
    if choice is not None:
        values[choice.setting] = choice.values[0]
    return []


_NO_HOST = SettingProblem(
    "there is no server to test: host is not set",
    expected="an address such as http://127.0.0.1:8000",
    action="give --host, set LOCUST_HOST, or put host into config.json",
)

Check = Callable[[ReadSettingValues], list[SettingProblem]]


def _burstiness_problem(values: ReadSettingValues) -> SettingProblem:
    return SettingProblem(
        f"--burstiness is {values['burstiness']:g} and --arrival is {values['arrival']}",
        expected="--burstiness only with --arrival gamma",
        action="add --arrival gamma, or leave --burstiness out",
    )


def _problems_of_pairs(
    values: ReadSettingValues, describe_source: Callable[[Option], str], unread: Set[str]
) -> list[SettingProblem]:
    found: list[SettingProblem] = []
    if values["wait_min_s"] > values["wait_max_s"] and not unread & {"wait_min_s", "wait_max_s"}:
        by_name = {option.name: option for option in OPTIONS}
        found.append(
            SettingProblem(
                f"--wait-min is {values['wait_min_s']:g} ({describe_source(by_name['wait_min_s'])}) and "
                f"--wait-max is {values['wait_max_s']:g} ({describe_source(by_name['wait_max_s'])})",
                expected="--wait-min not above --wait-max",
                action="raise --wait-max or lower --wait-min",
            )
        )
    if values["burstiness"] != 1 and values["arrival"] != "gamma" and not unread & {"burstiness", "arrival"}:
        found.append(_burstiness_problem(values))
    return found


def _cross_problems(
    values: ReadSettingValues, describe_source: Callable[[Option], str], unread: Set[str]
) -> list[SettingProblem]:
    found = _problems_of_pairs(values, describe_source, unread)
    if unread & {"arrival", "rate_rps"}:
        return found
    if values["find_capacity"] or values["arrival"] == "trace":  # bring their own load
        return found
    is_open, rate, stages = values["arrival"] != "closed", values["rate_rps"], values["stages"]
    if is_open and not rate and not stages:
        found.append(
            SettingProblem(
                f"--arrival is {values['arrival']} and there is no rate",
                expected="--rate or --stages with it",
                action="give --rate 500, say, or --stages 30s@500,1m@500..2000",
            )
        )
    if rate and (stages or not is_open):
        why = "--stages is given too" if is_open else "--arrival is closed"
        found.append(
            SettingProblem(
                f"--rate is {rate:g} and {why}",
                expected="--rate only with --arrival constant, poisson or gamma, and without --stages",
                action="leave one of them out" if is_open else "add --arrival constant, poisson or gamma",
            )
        )
    if values["max_in_flight"] and not is_open:
        found.append(
            SettingProblem(
                f"--max-in-flight is {values['max_in_flight']} and --arrival is closed",
                expected="--max-in-flight only with open load; in a closed one the users are the limit",
                action="use --users, or add --arrival constant, poisson or gamma",
            )
        )
    return found
