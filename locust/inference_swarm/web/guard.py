"""Who may do what in the web UI: a login when a user and a password are given, and no requests from other sites.

Locust lets any site read and post (`CORS(app)`) and runs Flask in debug mode; both are undone here. An edge: Flask.
"""

from __future__ import annotations

import argparse
import hmac
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import locust.web
from flask import Response, redirect, request, session
from flask_login import UserMixin, login_user  # type: ignore[import-untyped]
from gevent.lock import BoundedSemaphore

from inference_swarm.errors import ConfigError, SettingProblem

logger = logging.getLogger(__name__)

USER_ENV = "SWARM_UI_USER"
PASSWORD_FILE_ENV = "SWARM_UI_PASSWORD_FILE"
LOGIN_PATH = "/swarm-login"
# A wrong password costs this much time, and only one is checked at a time.
WRONG_PASSWORD_S = 1.0
READING = ("GET", "HEAD", "OPTIONS")


class _Person(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def close_cross_origin() -> None:
    """Before Locust builds its web UI: it lets no other site read what it answers."""
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


def want_login(options: argparse.Namespace) -> None:
    """Before Locust builds its web UI: with credentials, every page of it asks for a login."""
    if not options.headless and read_credentials() is not None:
        options.web_login = True


def password_check() -> Callable[[str, str], bool] | None:
    """Says whether user and password are right; None when there is no login."""
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


def guard(web_ui: Any, options: argparse.Namespace) -> None:
    """Before the web UI answers its first request."""
    app = web_ui.app
    app.debug = False
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Strict")
    app.before_request(_refuse_other_origins)
    is_right = password_check()
    if is_right is None:
        if not web_ui.web_login:
            logger.info("The web UI asks for no login (see %s and %s)", USER_ENV, PASSWORD_FILE_ENV)
        return
    user = os.environ[USER_ENV]
    app.secret_key = secrets.token_bytes(32)
    path = (options.web_base_path or "").rstrip("/") + LOGIN_PATH
    web_ui.login_manager.user_loader(lambda name: _Person(user) if name == user else None)
    web_ui.auth_args = {"username_password_callback": path}
    lock = BoundedSemaphore()

    def log_in() -> Any:
        with lock:
            is_let_in = is_right(request.form.get("username", ""), request.form.get("password", ""))
            if not is_let_in:
                gevent.sleep(WRONG_PASSWORD_S)
        if not is_let_in:
            logger.warning("A login of the web UI with a wrong user or password, from %s", request.remote_addr)
            session["auth_error"] = "Wrong user or password"
            return redirect("login")
        session.pop("auth_error", None)
        login_user(_Person(user))
        return redirect(".")

    app.add_url_rule(path, "swarm_login", log_in, methods=["POST"])


def _refuse_other_origins() -> Response | None:
    """A page of another site may make a browser send requests here, cookies and all; they are not carried out."""
    if request.method in READING:
        return None
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site in (None, "same-origin", "none") and (
        origin is None or site == "same-origin" or urlsplit(origin).netloc == request.host
    ):
        return None
    logger.warning("Refused %s %s from another site: %r", request.method, request.path, (origin or site or "")[:200])
    return Response("Refused: this request came from a page of another site.\n", 403, mimetype="text/plain")
