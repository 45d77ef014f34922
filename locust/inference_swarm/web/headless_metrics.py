"""`/metrics` of a headless run, at a port of its own: the same as the web UI's, for the same people. An edge."""

from __future__ import annotations

import argparse
import base64
import binascii
import logging
import socket
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from gevent.pywsgi import WSGIServer
from locust.env import Environment

from inference_swarm.errors import SettingProblem
from inference_swarm.web.brake import Checked, PasswordBrake
from inference_swarm.web.guard import EVERYWHERE_ADDRESS, LOOPBACK, hosts_of_this_machine, password_check
from inference_swarm.web.metrics import expose
from inference_swarm.web.view import KeptRuns, SwarmView

logger = logging.getLogger(__name__)
_TEXT = "text/plain; charset=utf-8"
_Response = tuple[str, list[tuple[str, str]], bytes]


def check_web_ports(options: argparse.Namespace) -> None:
    """Raises SettingProblem when the port of the web UI, or of `/metrics`, is taken, before anything is started."""
    if options.headless:
        _check_port(_address(options), options.metrics_port, "--metrics-port", "SWARM_METRICS_PORT")
    elif not options.worker:
        _check_port(_address(options), options.web_port, "--web-port", "LOCUST_WEB_PORT")


@cache
def _check_port(address: str, port: int | None, flag: str, variable: str) -> None:
    """A port that was free is not asked again: Locust parses its options for each page, and listens there by then."""
    if not port:
        return
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        raise SettingProblem(
            f"{flag} is {port}, which cannot be listened at: {error.strerror}",
            expected="a port that nobody uses" + ("; 0 for a free one" if flag == "--metrics-port" else ""),
            action=f"choose another with {flag} ({variable}), or stop what uses it",
        ) from error


def serve_metrics(environment: Environment, runs: KeptRuns) -> WSGIServer | None:
    """Listen until the process ends; None unless `--metrics-port` asks for it."""
    options = environment.parsed_options
    assert options is not None
    if not options.headless or options.metrics_port is None:
        return None
    hosts = hosts_of_this_machine(options)
    is_right = password_check()
    brake = None if is_right is None else PasswordBrake(is_right)
    view = SwarmView(environment, runs)

    def respond(
        request: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
    ) -> Iterable[bytes]:
        status, headers, body = _refusal(request, hosts.allow, brake) or _metrics(request, view)
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    server = WSGIServer((_address(options), options.metrics_port), respond, log=None)
    server.start()
    shown = options.web_host if options.web_host not in ("", EVERYWHERE_ADDRESS, None) else "0.0.0.0"
    logger.info("Metrics for Prometheus: http://%s:%d/metrics", shown, server.server_port)
    return server


def _address(options: argparse.Namespace) -> str:
    host = options.web_host
    return "0.0.0.0" if host in ("", EVERYWHERE_ADDRESS) else host or LOOPBACK


def _metrics(request: dict[str, Any], view: SwarmView) -> _Response:
    if request.get("PATH_INFO") != "/metrics" or request.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return "404 Not Found", [("Content-Type", _TEXT)], b"GET /metrics is all there is.\n"
    body, content_type = expose(view.read(), request.get("HTTP_ACCEPT", ""))
    return "200 OK", [("Content-Type", content_type)], body


def _refusal(
    request: dict[str, Any], is_allowed: Callable[[str], bool], brake: PasswordBrake | None
) -> _Response | None:
    host = request.get("HTTP_HOST")
    if host is not None and not is_allowed(host):
        return "403 Forbidden", [("Content-Type", _TEXT)], b"Refused: another host name; see --web-host-name.\n"
    if brake is None:
        return None
    user, password = _credentials(request.get("HTTP_AUTHORIZATION", ""))
    checked = brake.check(request.get("REMOTE_ADDR", ""), user, password) if user else Checked.WRONG
    if checked is Checked.RIGHT:
        return None
    if checked is Checked.BUSY:
        return "429 Too Many Requests", [("Content-Type", _TEXT), ("Retry-After", "1")], b"too many logins at once\n"
    challenge = ("WWW-Authenticate", 'Basic realm="swarm metrics"')
    return "401 Unauthorized", [("Content-Type", _TEXT), challenge], b"log in\n"


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        text = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    user, _, password = text.partition(":")
    return user, password
