"""A request as it would be sent in, its text and a curl command that repeats it out. Pure."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass

HIDDEN = "…"
_MADE_BY_CURL = ("host", "content-length")
_NUL = "\x00"


@dataclass(frozen=True, slots=True)
class RequestText:
    """One request for people, as text and as a command, both without secrets."""

    text: str
    curl: str


def show_request(
    request: bytes, scheme: str, secret_headers: Collection[str] = (), curl_options: Sequence[str] = ()
) -> RequestText:
    """Show head and body of a request. `secret_headers`: names whose values are not shown, in any case.

    In the command such a header takes its value from an environment variable of its name: `Authorization` from
    $AUTHORIZATION.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    secret = {name.lower() for name in secret_headers}
    shown = [f"{name}: {HIDDEN if name.lower() in secret else value}" for name, value in headers]
    host = next(value for name, value in headers if name.lower() == "host")
    arguments = ["-X", method, shlex.quote(f"{scheme}://{host}{target}"), *map(shlex.quote, curl_options)]
    for name, value in headers:
        if name.lower() in secret:
            arguments.append(f'-H "{name}: ${_variable(name)}"')
        elif name.lower() not in _MADE_BY_CURL:
            arguments.append(f"-H {shlex.quote(f'{name}: {value}')}")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = _NUL
    if _NUL in text:  # which no argument of a command can hold
        text = f"({len(body):,} bytes that are not text)"
        encoded = base64.b64encode(body).decode()
        command = f"printf %s {encoded} | base64 -d | curl {' '.join(arguments)} --data-binary @-"
    else:
        command = " ".join(["curl", *arguments, "--data-raw", shlex.quote(text)])
    return RequestText("\n".join([first, *shown, "", text]), command)


def _variable(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name.upper())
