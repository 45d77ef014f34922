"""The start form of the web UI: its fields, and what is checked before Locust acts on what was sent."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, request
from werkzeug.datastructures import ImmutableMultiDict

from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.options import BY_NAME, OPTIONS, Option
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import find_source, list_datasets, search_roots
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError
from inference_swarm.run.plan import first_users, resolve_stages
from inference_swarm.transport.allowed import check_allowed
from inference_swarm.transport.target import target_of
from inference_swarm.web import form as web_form
from inference_swarm.web.parts import WebParts, is_stranger

# May be changed while a run goes on.
LIVE_SETTINGS = ("users", "spawn_rate")


def extend_form(parts: WebParts) -> None:
    """The fields that Locust makes of the parser's options become ours, with what can be chosen and is set now."""
    web_ui = parts.web_ui
    update: Callable[[], None] = web_ui.update_template_args

    def update_with_our_fields() -> None:
        update()
        options = parts.environment.parsed_options
        others = {
            key: field
            for key, field in web_ui.template_args["extra_options"].items()
            if key not in BY_NAME and key != "print_settings"
        }
        values = {option.name: getattr(options, option.dest, None) for option in OPTIONS}
        fields = web_form.form_fields(
            values, list_datasets(search_roots(str(values["results_dir"]))), parts.archive.models()
        )
        web_ui.template_args["extra_options"] = {**fields, **others}

    web_ui.update_template_args = update_with_our_fields  # type: ignore[method-assign]


def check_start(parts: WebParts) -> Response | None:
    """Before Locust acts on POST /swarm: what was sent is read, checked and set with its types, or refused in words."""
    if request.endpoint != "locust.swarm" or is_stranger(parts.web_ui):
        return None
    options = parts.environment.parsed_options
    assert options is not None
    values, problems = web_form.read_form(request.form, vars(options))
    sent = request.form.to_dict()
    if parts.view.is_preparing:
        problems.append(SettingProblem("a run is being prepared already", action="wait until its rows are loaded"))
    elif parts.view.is_running:
        problems += _changes_in_run(values, options)
    wanted = argparse.Namespace(**vars(options))
    for name, value in values.items():
        setattr(wanted, BY_NAME[name].dest, value)
    settings = _checked(parts.command_line, wanted, problems)
    if settings is None or problems:
        message = web_form.problems_text(ConfigError(problems))
        return jsonify({"success": False, "message": message, "host": parts.environment.host})
    first = first_users(settings)
    if first is not None and not parts.view.is_running:
        sent["user_count"], sent["spawn_rate"] = str(first[0]), str(first[1])
    for name, value in values.items():
        setattr(options, BY_NAME[name].dest, value)
    # What is ours is set by now; Locust would turn it into text, and end the run by a clock of its own.
    kept = {key: value for key, value in sent.items() if key not in web_form.our_keys()}
    request.form = ImmutableMultiDict(kept)
    return None


def _checked(command_line: CommandLine, wanted: argparse.Namespace, problems: list[SwarmError]) -> Settings | None:
    """The settings of the run that is wanted. What stands against it goes to `problems`."""
    try:
        settings = resolve_stages(command_line.settings(wanted))
    except ConfigError as error:
        problems += error.problems
        return None
    checks: tuple[Callable[[], object], ...] = (
        lambda: target_of(settings),
        lambda: check_allowed(settings.host or "", settings.allow_host, "the master"),
        lambda: find_source(settings),
    )
    for check in checks:
        try:
            check()
        except SwarmError as error:
            problems.append(error)
    return settings


def _changes_in_run(values: dict[str, Any], options: argparse.Namespace) -> list[SwarmError]:
    changed = [
        BY_NAME[name].flag
        for name, value in values.items()
        if name not in LIVE_SETTINGS and value != _set_now(options, BY_NAME[name])
    ]
    if not changed:
        return []
    return [
        SettingProblem(
            f"{', '.join(changed)} cannot change while a run goes on",
            expected="other users or another spawn rate",
            action="stop the run and start a new one",
        )
    ]


def _set_now(options: argparse.Namespace, option: Option) -> Any:
    """As the form would send it: Locust keeps a host with its slash, say."""
    value = getattr(options, option.dest, None)
    return value if value in (None, "") else option.kind.parse(value)
