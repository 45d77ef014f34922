"""The start form of the web UI: its fields, and the checks before Locust acts on sent values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import gevent
from flask import Response, jsonify, request
from werkzeug.datastructures import ImmutableMultiDict

from inference_swarm.apis.table import request_format
from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.documents import Document, SettingValues
from inference_swarm.config.option import Option
from inference_swarm.config.options import BY_NAME, OPTIONS
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import find_source, list_datasets, read_source, search_roots
from inference_swarm.data.threads import run_in_pool
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError
from inference_swarm.load.print_row import preview_row
from inference_swarm.run.named_files import resolve_template
from inference_swarm.run.plan import first_users, resolve_stages
from inference_swarm.transport.allowed import check_allowed, check_hosts_allowed
from inference_swarm.transport.target import target_of
from inference_swarm.web import form as web_form
from inference_swarm.web.curve import curve_document
from inference_swarm.web.fields import allowed_fields, refused_fields, user_class_problems
from inference_swarm.web.parts import WebParts, is_logged_out, json_response, problem_response

# May be changed while a run goes on.
LIVE_SETTINGS = ("users", "spawn_rate")
MAX_ROW_DIGITS = 18


class StartForm:
    """The form of one web UI."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        options = parts.environment.parsed_options
        assert options is not None
        self._options = options
        # A file of stages is for the command line: the form shows what is in it, and never reads another.
        self._file_of_stages = options.stages
        self._shown_stages = resolve_stages(parts.command_line.settings(options, is_host_required=False)).stages
        self._others: Document = _others(parts.web_ui.template_args.get("extra_options", {}))

    def extend(self) -> None:
        """Replace the fields that Locust makes of the parser's options by ours, with choices and present values."""
        web_ui = self._parts.web_ui
        update: Callable[[], None] = web_ui.update_template_args

        def update_with_our_fields() -> None:
            update()
            self._others = _others(web_ui.template_args["extra_options"])
            values = {option.name: getattr(self._options, option.dest, None) for option in OPTIONS}
            if values["stages"] == self._file_of_stages:
                values["stages"] = self._shown_stages
            datasets = list_datasets(search_roots(str(values["results_dir"])))
            fields = web_form.form_fields(values, datasets, self._parts.archive.models())
            web_ui.template_args["extra_options"] = {**fields, **self._others}

        web_ui.update_template_args = update_with_our_fields  # type: ignore[method-assign]

    def check(self) -> Response | None:
        """Check a request before Locust acts on it: values are set with their types, or refused in words."""
        if is_logged_out(self._parts.web_ui):
            return None
        if request.endpoint == "locust.swarm":
            return self._check_start()
        if request.endpoint == "locust.update_user":
            return self._check_user_class()
        return None

    def preview(self) -> Response:
        """Respond with the request that a row becomes under the sent fields; `row` is its number."""
        sent = request.form.to_dict()
        text = sent.pop("row", "0").strip()
        _, wanted, problems = self._read(sent)
        if not text.isdecimal() or len(text) > MAX_ROW_DIGITS:
            problems.append(SettingProblem(f"row is {text[:100]!r}", expected="a whole number, 0 or more"))
        try:
            try:
                settings = resolve_template(self._parts.command_line.settings(wanted, is_host_required=False))
            except ConfigError as error:
                problems += error.problems
            if problems:
                raise ConfigError(problems)
            apply = gevent.get_hub().threadpool.apply
            shown = run_in_pool(apply, partial(preview_row, settings, int(text)))
        except SwarmError as error:
            return json_response({"success": False, "message": web_form.problems_text(error)})
        return json_response({"success": True, "lines": shown.lines, **asdict(shown.request)})

    def curve(self) -> Response:
        """Respond with the curve of the sent stages."""
        arrival = request.form.get("arrival", self._options.arrival)
        try:
            found = curve_document(request.form.get("stages", ""), is_open=arrival != "closed")
        except SwarmError as error:
            return json_response({"success": False, "message": web_form.problems_text(error)})
        return json_response({"success": True, **found})

    def _read(self, sent: Mapping[str, str]) -> tuple[SettingValues, argparse.Namespace, list[SwarmError]]:
        """Read the sent fields: their values, the options with them, and the problems."""
        options = self._options
        values, problems = web_form.read_form(sent)
        allowed = allowed_fields(self._others, has_class_picker=self._parts.web_ui.userclass_picker_is_active)
        problems = refused_fields(sent, allowed) + problems
        if values.get("stages") == self._shown_stages and options.stages == self._file_of_stages:
            del values["stages"]
        wanted = argparse.Namespace(**vars(options))
        for name, value in values.items():
            setattr(wanted, BY_NAME[name].dest, value)
        return values, wanted, problems

    def _check_start(self) -> Response | None:
        parts, options = self._parts, self._options
        values, wanted, problems = self._read(request.form)
        settings = _checked(parts.command_line, wanted, problems)
        # Waits for files: what else is going on is looked at after it.
        if settings is not None and not problems and not parts.view.is_running:
            problems += _data_problems(settings)
        if parts.view.is_running:
            problems += _changes_in_run(values, options)
        elif reason := parts.view.reason_against_start:
            problems.append(SettingProblem(reason))
        if settings is None or problems:
            message = web_form.problems_text(ConfigError(problems))
            return jsonify({"success": False, "message": message, "host": parts.environment.host})
        sent = {key: given for key, given in request.form.lists() if key not in web_form.our_keys()}
        first = first_users(settings)
        if first is not None and not parts.view.is_running:
            sent["user_count"], sent["spawn_rate"] = [str(first[0])], [str(first[1])]
        for name, value in values.items():
            setattr(options, BY_NAME[name].dest, value)
        # What is ours is set by now; Locust would turn it into text, and end the run by a clock of its own.
        request.form = ImmutableMultiDict(sent)
        return None

    def _check_user_class(self) -> Response | None:
        sent = request.get_json(force=True, silent=True)
        if not isinstance(sent, dict):
            return problem_response(SettingProblem("what was sent is no JSON object"), 400)
        problems = user_class_problems(sent)
        if sent.get("host") and not problems:
            problems = _problems_of(
                (lambda: check_allowed(str(sent["host"]), self._options.allow_host or "", "the master"),)
            )
        return problem_response(ConfigError(problems), 400) if problems else None


def _others(extra_options: Document) -> Document:
    """Return the fields of options that a custom locustfile has added."""
    ours = {option.name for option in OPTIONS} | web_form.our_keys() | {"print_settings", "print_row"}
    return {key: field for key, field in extra_options.items() if key not in ours}


def _checked(command_line: CommandLine, wanted: argparse.Namespace, problems: list[SwarmError]) -> Settings | None:
    """Return the settings of the wanted run. Problems are added to `problems`."""
    try:
        settings = resolve_template(resolve_stages(command_line.settings(wanted)))
    except ConfigError as error:
        problems += error.problems
        return None
    problems += _problems_of(
        (
            lambda: target_of(settings),
            lambda: check_hosts_allowed(settings, settings.allow_host, "the master"),
            lambda: find_source(settings),
        )
    )
    return settings


def _data_problems(settings: Settings) -> list[SwarmError]:
    """Return the problems of the data files, which may be remote, and of their columns: the event loop goes on."""
    apply = gevent.get_hub().threadpool.apply

    def check() -> None:
        manifest = run_in_pool(apply, partial(read_source, find_source(settings)))
        request_format(settings, manifest.schema, settings.batch_size)

    return _problems_of((check,))


def _problems_of(checks: Iterable[Callable[[], object]]) -> list[SwarmError]:
    problems: list[SwarmError] = []
    for check in checks:
        try:
            check()
        except SwarmError as error:
            problems.append(error)
    return problems


def _changes_in_run(values: Document, options: argparse.Namespace) -> list[SwarmError]:
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
    """Return the present value as the form would send it: Locust keeps a host with its slash, say."""
    value = getattr(options, option.dest, None)
    return value if value in (None, "") else option.value_type.parse(value)
