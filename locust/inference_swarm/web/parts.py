"""Shared by the routes of the web UI: the parts they work with, and how they respond."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response
from flask_login import current_user  # type: ignore[import-untyped]
from locust.env import Environment
from locust.web import WebUI

from inference_swarm.config.command_line import CommandLine
from inference_swarm.config.documents import Document
from inference_swarm.errors import SwarmError
from inference_swarm.web import form as web_form
from inference_swarm.web.brake import PasswordBrake
from inference_swarm.web.json_text import json_bytes
from inference_swarm.web.runs import RunArchive
from inference_swarm.web.view import SwarmView


@dataclass(frozen=True, slots=True)
class WebParts:
    """The parts that routes work with. `brake` lets Prometheus in, which cannot fill in a login form."""

    environment: Environment
    web_ui: WebUI
    command_line: CommandLine
    view: SwarmView
    archive: RunArchive
    brake: PasswordBrake | None = None


def is_logged_out(web_ui: WebUI) -> bool:
    """True when a login is required and missing; Locust's own view then redirects to it."""
    if not web_ui.web_login:
        return False
    return not current_user.is_authenticated


def json_response(document: Document) -> Response:
    """Return a JSON response that browsers never cache."""
    return bytes_response(json_bytes(document))


def bytes_response(body: bytes) -> Response:
    """Return a response with this JSON that browsers never cache."""
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def problem_response(error: SwarmError, status: int) -> Response:
    """Return a response that says what is wrong."""
    response = json_response({"message": web_form.problems_text(error)})
    response.status_code = status
    return response
