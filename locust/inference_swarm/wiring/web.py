"""The web UI of a master or single process: our start form, the Swarm tab, the pages behind it, and /metrics.

Adds routes, template arguments and two hooks to Locust's own Flask application before it begins to serve.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from flask import Blueprint, Response, jsonify, request, send_from_directory
from flask.json import dumps
from flask_login import current_user  # type: ignore[import-untyped]
from locust.env import Environment
from locust.web import WebUI
from werkzeug.datastructures import ImmutableMultiDict

from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.options import BY_NAME, OPTIONS, Option
from inference_swarm.config.settings import Settings
from inference_swarm.data.locate import list_datasets
from inference_swarm.errors import ConfigError, SettingProblem, SwarmError
from inference_swarm.export import web_form, web_runs
from inference_swarm.export.comparison import ComparedRuns
from inference_swarm.export.comparison_page import comparison_page
from inference_swarm.export.metrics import expose
from inference_swarm.export.web_compare import compare_in, comparison_document
from inference_swarm.export.web_runs import RunArchive
from inference_swarm.wiring.allowed import check_allowed
from inference_swarm.wiring.dataset import find_source, search_roots
from inference_swarm.wiring.plan import first_users, resolve_stages
from inference_swarm.wiring.shard import target_of
from inference_swarm.wiring.web_view import KeptRuns, SwarmView

STATIC = Path(web_runs.__file__).parent / "web_static"
SCRIPT = '<script type="module" src="./swarm/static/panel.js"></script>'
# May be changed while a run goes on.
LIVE_SETTINGS = ("users", "spawn_rate")
PasswordCheck = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the routes work with. `check_password` lets Prometheus in, which cannot fill in a login form."""

    environment: Environment
    web_ui: WebUI
    command_line: CommandLine
    view: SwarmView
    archive: RunArchive
    check_password: PasswordCheck | None = None


def attach_web(
    environment: Environment,
    web_ui: WebUI,
    keeper: KeptRuns,
    command_line: CommandLine,
    check_password: PasswordCheck | None = None,
) -> None:
    """Makes Locust's page ours as well. To be called before the server starts."""
    options = environment.parsed_options
    assert options is not None
    archive = RunArchive(Path(options.results_dir))
    parts = WebParts(environment, web_ui, command_line, SwarmView(environment, keeper), archive, check_password)
    app = web_ui.app
    assert app is not None
    prefix = app.blueprints["locust"].url_prefix or ""
    app.register_blueprint(_pages(parts), url_prefix=f"{prefix}/swarm")
    app.add_url_rule(f"{prefix}/metrics", "swarm_metrics", lambda: _metrics(parts))
    # The form shows its fields in the order in which they come.
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}
    _extend_form(parts)
    app.before_request(lambda: _check_start(parts))
    app.after_request(lambda response: _mend(parts, response))
    web_ui.template_args["extended_tabs"] = [{"title": "Swarm", "key": "swarm", "component": "swarm-panel"}]


# pages


def _pages(parts: WebParts) -> Blueprint:
    pages = Blueprint("swarm_pages", __name__)
    archive, guarded = parts.archive, parts.web_ui.auth_required_if_enabled

    def route(rule: str, view: Callable[..., Response]) -> None:
        pages.add_url_rule(rule, view.__name__, guarded(view))  # type: ignore[no-untyped-call]

    def page() -> Response:
        return send_from_directory(STATIC, "page.html")

    def static(path: str) -> Response:
        return send_from_directory(STATIC, path)

    def state() -> Response:
        return _json(parts.view.document())

    def runs() -> Response:
        return _json({"runs": archive.newest()})

    def run_file(name: str, path: str) -> Response:
        try:
            folder = archive.folder(name).resolve()
        except SwarmError as error:
            return _problem(error, 404)
        if path not in web_runs.OPENED_FILES:
            return _problem(
                SettingProblem(f"{path!r} is no result file", expected=", ".join(web_runs.OPENED_FILES)), 404
            )
        return send_from_directory(folder, path)

    def compare() -> Response:
        return compared(lambda found: _json(comparison_document(found)))

    def compare_page() -> Response:
        return compared(lambda found: Response(comparison_page(found), mimetype="text/html"))

    def compared(show: Callable[[ComparedRuns], Response]) -> Response:
        one, other = request.args.get("one", ""), request.args.get("other", "")
        try:
            # Reading histograms and drawing from them takes a moment, which must not stop the master's loop.
            answer: Response = gevent.get_hub().threadpool.apply(lambda: show(compare_in(archive, one, other)))
        except SwarmError as error:
            return _problem(error, 404)
        return answer

    route("/", page)
    route("/static/<path:path>", static)
    route("/state", state)
    route("/runs", runs)
    route("/runs/<name>/<path>", run_file)
    route("/compare", compare)
    route("/compare.html", compare_page)
    return pages


def _json(document: dict[str, Any]) -> Response:
    response = Response(dumps(document), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem(error: SwarmError, status: int) -> Response:
    response = _json({"message": web_form.problems_text(error)})
    response.status_code = status
    return response


def _metrics(parts: WebParts) -> Response:
    if _is_stranger(parts.web_ui) and not _has_password(parts.check_password):
        return Response("log in\n", 401, {"WWW-Authenticate": 'Basic realm="swarm metrics"'}, "text/plain")
    body, content_type = expose(parts.view.read(), request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)


# the start form


def _extend_form(parts: WebParts) -> None:
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
        fields = web_form.form_fields(values, list_datasets(search_roots(_roots_of(values))), parts.archive.models())
        web_ui.template_args["extra_options"] = {**fields, **others}

    web_ui.update_template_args = update_with_our_fields  # type: ignore[method-assign]


def _roots_of(values: dict[str, Any]) -> Any:
    return argparse.Namespace(results_dir=values["results_dir"])


def _check_start(parts: WebParts) -> Response | None:
    """Before Locust acts on POST /swarm: what was sent is read, checked and set with its types, or refused in words."""
    if request.endpoint != "locust.swarm" or _is_stranger(parts.web_ui):
        return None
    options = parts.environment.parsed_options
    assert options is not None
    values, problems = web_form.read_form(request.form)
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


def _has_password(check: PasswordCheck | None) -> bool:
    given = request.authorization
    if check is None or given is None or given.type != "basic":
        return False
    return check(given.username or "", given.password or "")


def _is_stranger(web_ui: WebUI) -> bool:
    """Not logged in although it has to be; Locust's own view will send it away."""
    if not web_ui.web_login:
        return False
    return not current_user.is_authenticated


# answers of Locust's own views


def _mend(parts: WebParts, response: Response) -> Response:
    """Our script in Locust's page; and a run that loads its rows shows as one that begins, not as none."""
    if request.endpoint == "locust.index" and response.mimetype == "text/html" and response.status_code == 200:
        response.set_data(response.get_data(as_text=True).replace("</body>", f"    {SCRIPT}\n  </body>"))
    if request.endpoint == "locust.request_stats" and response.mimetype == "application/json":
        # Locust keeps its answer for two seconds: a new one, not this one, is to be changed.
        document, state = response.get_json(), _state_now(parts)
        if document["state"] != state:
            return _json({**document, "state": state})
    return response


def _state_now(parts: WebParts) -> str:
    """The page goes back to the start form for good when it reads of a state in which nothing runs."""
    start = parts.web_ui._swarm_greenlet
    is_starting = start is not None and not start.ready()
    runner = parts.environment.runner
    assert runner is not None
    return "spawning" if is_starting and not parts.view.is_running else str(runner.state)
