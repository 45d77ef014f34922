"""The web UI of a master or single process: our start form, the Swarm tab, the pages behind it, and /metrics.

Adds routes, template arguments and two hooks to Locust's own Flask application before it begins to serve.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gevent
from flask import Blueprint, Response, request, send_from_directory
from locust.env import Environment
from locust.web import WebUI

from inference_swarm.config.command_line import CommandLine
from inference_swarm.errors import SettingProblem, SwarmError
from inference_swarm.export.comparison import ComparedRuns
from inference_swarm.export.comparison_page import comparison_page
from inference_swarm.web import runs as web_runs
from inference_swarm.web.brake import Checked, PasswordBrake
from inference_swarm.web.compare import compare_in, comparison_document
from inference_swarm.web.headers import POLICY_OF_PANEL, POLICY_OF_REPORT, policy_of_locust
from inference_swarm.web.metrics import expose
from inference_swarm.web.parts import WebParts, bytes_response, is_logged_out, json_response, problem_response
from inference_swarm.web.runs import RunArchive
from inference_swarm.web.start import StartForm
from inference_swarm.web.view import KeptRuns, SwarmView
from inference_swarm.web.worker_pages import parse_page

STATIC = Path(web_runs.__file__).parent / "static"
LOCUST_REPORT = "locust.html"
SCRIPT = '<script type="module" src="./swarm/static/panel.js"></script>'


def attach_web(
    environment: Environment,
    web_ui: WebUI,
    runs: KeptRuns,
    command_line: CommandLine,
    brake: PasswordBrake | None = None,
) -> None:
    """Add our routes to Locust's page. Call it before the server starts."""
    options = environment.parsed_options
    assert options is not None
    archive = RunArchive(Path(options.results_dir))
    parts = WebParts(environment, web_ui, command_line, SwarmView(environment, runs), archive, brake)
    app = web_ui.app
    assert app is not None
    prefix = app.blueprints["locust"].url_prefix or ""
    form = StartForm(parts)
    app.register_blueprint(_pages(parts, form), url_prefix=f"{prefix}/swarm")
    app.add_url_rule(f"{prefix}/metrics", "swarm_metrics", lambda: _metrics(parts))
    # The form shows its fields in the order in which they come.
    app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}
    form.extend()
    app.before_request(form.check)
    app.after_request(lambda response: _complete(parts, response))
    web_ui.template_args["extended_tabs"] = [{"title": "Swarm", "key": "swarm", "component": "swarm-panel"}]


# pages


def _pages(parts: WebParts, form: StartForm) -> Blueprint:
    pages = Blueprint("swarm_pages", __name__)
    archive, guarded = parts.archive, parts.web_ui.auth_required_if_enabled

    def route(rule: str, view: Callable[..., Response], method: str = "GET") -> None:
        pages.add_url_rule(rule, view.__name__, guarded(view), methods=[method])  # type: ignore[no-untyped-call]

    def page() -> Response:
        return with_policy(send_from_directory(STATIC, "page.html"), POLICY_OF_PANEL)

    def static(path: str) -> Response:
        return send_from_directory(STATIC, path)

    def state() -> Response:
        return bytes_response(parts.view.state_body())

    def series() -> Response:
        return bytes_response(parts.view.series_body(request.args.get("since", 0.0, type=float)))

    def workers() -> Response:
        return _workers(parts)

    def runs() -> Response:
        return json_response({"runs": archive.newest()})

    def run_file(name: str, path: str) -> Response:
        return _result_file(archive, name, path)

    def compare() -> Response:
        return _compared(archive, lambda found: json_response(comparison_document(found)))

    def compare_page() -> Response:
        return _compared(
            archive, lambda found: with_policy(Response(comparison_page(found), mimetype="text/html"), POLICY_OF_REPORT)
        )

    route("/", page)
    route("/static/<path:path>", static)
    route("/state", state)
    route("/series", series)
    route("/workers", workers)
    route("/runs", runs)
    route("/runs/<name>/<path>", run_file)
    route("/compare", compare)
    route("/compare.html", compare_page)
    route("/preview", form.preview, "POST")
    route("/curve", form.curve, "POST")
    return pages


def _workers(parts: WebParts) -> Response:
    try:
        wanted = parse_page(request.args)
    except SettingProblem as problem:
        return problem_response(problem, 400)
    return json_response(parts.view.workers_page(wanted))


def _compared(archive: RunArchive, show: Callable[[ComparedRuns], Response]) -> Response:
    one, other = request.args.get("one", ""), request.args.get("other", "")
    try:
        # Reading histograms and drawing from them takes a moment, which must not stop the master's loop.
        response: Response = gevent.get_hub().threadpool.apply(lambda: show(compare_in(archive, one, other)))
    except SwarmError as error:
        return problem_response(error, 404)
    return response


def _result_file(archive: RunArchive, name: str, path: str) -> Response:
    try:
        folder = archive.folder(name).resolve()
    except SwarmError as error:
        return problem_response(error, 404)
    if path not in web_runs.OPENED_FILES:
        return problem_response(
            SettingProblem(f"{path!r} is not a result file", expected=", ".join(web_runs.OPENED_FILES)), 404
        )
    if path == LOCUST_REPORT and (folder / path).is_file():
        html = (folder / path).read_text(encoding="utf-8")
        return with_policy(Response(html, mimetype="text/html"), policy_of_locust(html))
    return with_policy(send_from_directory(folder, path), POLICY_OF_REPORT)


def with_policy(response: Response, policy: str) -> Response:
    """Return the response with its security policy."""
    response.headers["Content-Security-Policy"] = policy
    return response


def _metrics(parts: WebParts) -> Response:
    if is_logged_out(parts.web_ui):
        refusal = _refuse_without_password(parts.brake)
        if refusal is not None:
            return refusal
    body, content_type = expose(parts.view.read(), request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)


def _refuse_without_password(brake: PasswordBrake | None) -> Response | None:
    given = request.authorization
    if brake is not None and given is not None and given.type == "basic":
        checked = brake.check(request.remote_addr or "", given.username or "", given.password or "")
        if checked is Checked.RIGHT:
            return None
        if checked is Checked.BUSY:
            return Response("too many logins at once: try again in a moment\n", 429, {"Retry-After": "1"}, "text/plain")
    return Response("log in\n", 401, {"WWW-Authenticate": 'Basic realm="swarm metrics"'}, "text/plain")


# responses of Locust's own views


def _complete(parts: WebParts, response: Response) -> Response:
    """Complete Locust's page: add our script, and show a run that loads its rows as one that begins."""
    if request.endpoint == "locust.index" and response.mimetype == "text/html" and response.status_code == 200:
        response.set_data(response.get_data(as_text=True).replace("</body>", f"    {SCRIPT}\n  </body>"))
    if request.endpoint == "locust.request_stats" and response.mimetype == "application/json":
        # Locust keeps its response for two seconds: a new one, not this one, is to be changed.
        document, state = response.get_json(), _state_now(parts)
        if document["state"] != state:
            return json_response({**document, "state": state})
    return response


def _state_now(parts: WebParts) -> str:
    """Return the state for the page, which shows the start form for good once nothing runs."""
    start = parts.web_ui._swarm_greenlet
    is_starting = start is not None and not start.ready()
    runner = parts.environment.runner
    assert runner is not None
    return "spawning" if is_starting and not parts.view.is_running else str(runner.state)
