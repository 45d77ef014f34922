"""Guards the web UI: the hosts it responds to, a login when there are credentials, no other sites.

Locust lets any site read and post (`CORS(app)`), runs Flask in debug mode and listens everywhere; all are undone
here. An edge: Flask, the environment, the names of this machine.
"""

from __future__ import annotations

import argparse
import hmac
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import locust.web
from flask import Response, redirect, request, session
from flask_login import UserMixin, login_user  # type: ignore[import-untyped]

from inference_swarm.errors import ConfigError, SettingProblem
from inference_swarm.web.brake import Checked, PasswordBrake, PasswordCheck
from inference_swarm.web.headers import EVERYWHERE, POLICY_OF_DATA, POLICY_OF_OTHERS, policy_of_locust
from inference_swarm.web.hosts import AllowedHosts, allowed_hosts, search_domains_of

logger = logging.getLogger(__name__)

USER_ENV = "SWARM_UI_USER"
PASSWORD_FILE_ENV = "SWARM_UI_PASSWORD_FILE"
LOGIN_PATH = "/swarm-login"
LOOPBACK = "127.0.0.1"
EVERYWHERE_ADDRESS = "*"
PAGES_OF_LOCUST = ("locust.index", "locust.login", "locust.stats_report")
READING = ("GET", "HEAD", "OPTIONS")
# The form has a few dozen fields.
MAX_BODY_BYTES = 1 << 20


class _Person(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def close_cross_origin() -> None:
    """Call before Locust builds its web UI: no other site may read its responses."""
    setattr(locust.web, "CORS", lambda _app: None)  # noqa: B010 - a class to the type checker


def read_credentials() -> tuple[str, str] | None:
    """User and password of the web UI, or None. Raises ConfigError when only half of it is there."""
    user, file = os.environ.get(USER_ENV, ""), os.environ.get(PASSWORD_FILE_ENV, "")
    if not user and not file:
        return None
    if not user or not file:
        given, missing = (USER_ENV, PASSWORD_FILE_ENV) if user else (PASSWORD_FILE_ENV, USER_ENV)
        raise ConfigError(
            [SettingProblem(f"{given} is set and {missing} is not", expected="both, for a login, or none")]
        )
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([SettingProblem(f"{PASSWORD_FILE_ENV} {file} cannot be read: {error}")]) from error
    if not password:
        problem = SettingProblem(f"{PASSWORD_FILE_ENV} {file} is empty", expected="a password in its first line")
        raise ConfigError([problem])
    return user, password


def prepare_web(options: argparse.Namespace) -> None:
    """Call before Locust builds its web UI: sets whether it asks for a login, and where it listens.

    Without a login it listens on loopback unless --web-host says otherwise; an empty one, * and 0.0.0.0 are everywhere.
    """
    if not options.headless and read_credentials() is not None:
        options.web_login = True
    if options.web_host is None:
        options.web_host = EVERYWHERE_ADDRESS if options.web_login else LOOPBACK


def password_check() -> PasswordCheck | None:
    """Return a check of user and password; None when there is no login."""
    credentials = read_credentials()
    if credentials is None:
        return None
    user, password = credentials

    def is_right(given_user: str, given_password: str) -> bool:
        # Both are compared in any case, so that the time taken tells nothing.
        is_user = hmac.compare_digest(given_user.encode(), user.encode())
        is_password = hmac.compare_digest(given_password.encode(), password.encode())
        return is_user and is_password

    return is_right


def guard(web_ui: Any, options: argparse.Namespace) -> PasswordBrake | None:
    """Guard the web UI before its first request. Returns the check of passwords, None without a login."""
    app = web_ui.app
    app.debug = False
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=bool(options.tls_cert),
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
    )
    hosts = hosts_of_this_machine(options)
    app.before_request(lambda: _refuse_other_hosts(hosts))
    app.before_request(_refuse_other_origins)
    app.after_request(_protect)
    is_right = password_check()
    if is_right is None:
        if not web_ui.web_login:
            logger.info("The web UI asks for no login (see %s and %s)", USER_ENV, PASSWORD_FILE_ENV)
        return None
    brake = PasswordBrake(is_right)
    _add_login(web_ui, options, brake)
    return brake


def hosts_of_this_machine(options: argparse.Namespace) -> AllowedHosts:
    """Return the hosts of --web-host-name, the name that the web UI listens under, and this machine's names."""
    given = (options.web_host_names or "").split(";")
    own = [socket.gethostname(), options.web_host or ""]
    try:
        resolver = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        resolver = ""
    return allowed_hosts(given, [name for name in own if name != EVERYWHERE_ADDRESS], search_domains_of(resolver))


def _add_login(web_ui: Any, options: argparse.Namespace, brake: PasswordBrake) -> None:
    app, user = web_ui.app, os.environ[USER_ENV]
    app.secret_key = secrets.token_bytes(32)
    path = (options.web_base_path or "").rstrip("/") + LOGIN_PATH
    web_ui.login_manager.user_loader(lambda name: _Person(user) if name == user else None)
    web_ui.auth_args = {"username_password_callback": path}

    def log_in() -> Any:
        given = request.form.get("username", ""), request.form.get("password", "")
        checked = brake.check(request.remote_addr or "", *given)
        if checked is Checked.RIGHT:
            session.pop("auth_error", None)
            login_user(_Person(user))
            return redirect(".")
        if checked is Checked.WRONG:
            logger.warning("A login of the web UI with a wrong user or password, from %s", request.remote_addr)
        session["auth_error"] = (
            "Wrong user or password" if checked is Checked.WRONG else "Too many logins at once: try again in a moment"
        )
        return redirect("login")

    app.add_url_rule(path, "swarm_login", log_in, methods=["POST"])


def _refuse_other_hosts(hosts: AllowedHosts) -> Response | None:
    """Refuse foreign host names: a page of another site may point its own name at this machine, to read and post."""
    given = request.headers.get("Host")
    # Whatever sends none is not a browser: HTTP/1.0 has no need of it.
    if given is None or hosts.allow(given):
        return None
    logger.warning("Refused %s %s for the host name %r", request.method, request.path, given[:200])
    return _refusal(
        f"this web UI does not answer to the host name {given[:200]!a}.\n"
        "Expected: localhost, an address, the name of this machine, or a name of --web-host-name.\n"
        "Fix: start the master with --web-host-name NAME (SWARM_WEB_HOST_NAMES).\n"
    )


def _refuse_other_origins() -> Response | None:
    """Refuse foreign origins: a page of another site may make a browser send requests here, with its cookies."""
    if request.method in READING:
        return None
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site in (None, "same-origin", "none") and (
        origin is None or site == "same-origin" or urlsplit(origin).netloc == request.host
    ):
        return None
    logger.warning("Refused %s %s from another site: %r", request.method, request.path, (origin or site or "")[:200])
    return _refusal("this request came from a page of another site.\n")


def _refusal(words: str) -> Response:
    return Response(f"Refused: {words}", 403, mimetype="text/plain")


def _protect(response: Response) -> Response:
    """Set the headers of every response; a view that has its own policy keeps it."""
    for name, value in EVERYWHERE.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", _policy(response))
    return response


def _policy(response: Response) -> str:
    if request.endpoint in PAGES_OF_LOCUST and response.status_code == 200:
        return policy_of_locust(response.get_data(as_text=True))
    # An error of Locust's repeats what was sent, as HTML.
    return POLICY_OF_DATA if request.blueprint == "locust" or response.status_code >= 400 else POLICY_OF_OTHERS
