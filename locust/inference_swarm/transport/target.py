"""The server under test: its URL and the heads of requests to it. Pure.

In: the host setting, path and query of the API, headers. Out: `Target`, and a head for each length of body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from inference_swarm.apis.table import request_path
from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem

METHOD = "POST"
INVOCATION_PATH = "/invocation"
DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 9110: a field name is a token; a value holds no control characters but the tab.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_OURS = {"content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"}
_REMOVE = "Correct or remove it (--header, SWARM_HEADERS)."
_EXAMPLE = "an address such as http://model-server:8080 or https://models.example.org"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `path` is the request target with its query; `name` is what the statistics call it."""

    scheme: str
    host: str
    port: int
    path: str
    name: str

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port, as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def public_url(self) -> str:
        """The URL without its query, which may hold a key."""
        return self.url.partition("?")[0]


def target_of(settings: Settings) -> Target:
    """Return the target of a run. Raises SettingProblem."""
    return parse_target(settings.host, request_path(settings))


def beside_requests(settings: Settings, path: str) -> str:
    """Return the request target of another path of the server: below the host's own path, with its query."""
    prefix = target_of(settings).name.removesuffix(_ascii(request_path(settings).partition("?")[0]))
    query = urlsplit(settings.host or "").query
    return prefix + _ascii(f"{path}?{query}" if query else path)


def parse_target(host_url: str | None, request_path: str = INVOCATION_PATH) -> Target:
    """Parse the target of a host setting and of the path with a query that requests have.

    A path in the host setting is kept as a prefix, unless it is the request's own; its query is kept in front of the
    request's. Raises SettingProblem.
    """
    if not host_url or not host_url.strip():
        raise SettingProblem(
            "No host is set.", expected=_EXAMPLE, action="Set --host, LOCUST_HOST or host in config.json."
        )
    host_url = host_url.strip()
    parts = _split_url(host_url)
    host = _ascii_host(parts.hostname or "")
    if not host:
        raise _host_problem(host_url, "names no valid host")
    if "#" in request_path:
        raise SettingProblem(
            f"The path {re.split('[?#]', request_path)[0]!r} or its query has a #, behind which nothing is sent.",
            expected="a path such as /v1/models/m:predict, perhaps with a query",
            action="Leave the # and what follows it out of --path; one that belongs to a name is written %23.",
        )
    path, _, query = request_path.partition("?")
    path = _ascii(parts.path.rstrip("/").removesuffix(path) + path) or "/"
    query = _ascii("&".join(filter(None, (parts.query, query))))
    return Target(
        scheme=parts.scheme,
        host=host,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        path=f"{path}?{query}" if query else path,
        name=path,
    )


def _split_url(host_url: str) -> SplitResult:
    """Return the parts of a URL of scheme, host, perhaps port and path, and no more. Raises SettingProblem."""
    if re.search(r"[\x00-\x1f\x7f]", host_url):  # urlsplit would drop some of them in silence
        raise _host_problem(host_url, "holds control characters")
    if "://" not in host_url:
        raise _host_problem(host_url, "has no scheme")
    try:
        parts = urlsplit(host_url)
        port = parts.port
    except ValueError as error:
        raise _host_problem(host_url, f"is not a URL: {error}") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise _host_problem(host_url, f"has the scheme {parts.scheme!r}")
    if parts.username is not None or parts.password is not None:
        raise SettingProblem(
            "The host holds credentials.",
            expected=_EXAMPLE,
            action="Take them out of it and send them with --header, such as --header 'Authorization: Basic …'.",
        )
    if parts.fragment:
        raise _host_problem(host_url, "has a fragment")
    if port == 0:
        raise _host_problem(host_url, "has the port 0")
    return parts


def _host_problem(host_url: str, why: str) -> SettingProblem:
    shown = host_url.partition("?")[0]  # a query may hold a key
    return SettingProblem(f"The host {shown!r} {why}.", expected=_EXAMPLE, action="Correct the host setting.")


def _ascii(text: str) -> str:
    """Return the text with escapes for what a request line cannot hold, and nothing else of it changed."""
    return re.sub(r"[^\x21-\x7e]+", lambda found: quote(found[0]), text)


def _ascii_host(host: str) -> str:
    """Return the host as it goes over the wire, or nothing when it cannot be one."""
    if ":" in host:  # urlsplit leaves a colon only in a checked IPv6 literal
        return host
    try:
        ascii_host = host.encode("idna").decode()
    except UnicodeError:
        return ""
    return ascii_host if _HOST_NAME.fullmatch(ascii_host) else ""


def parse_headers(text: str) -> dict[str, str]:
    """Parse headers, one `Name: value` a line. Raises SettingProblem, which never holds a value."""
    headers: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise SettingProblem(
                "A header of --header has no colon.",
                expected="Name: value",
                action="Correct --header or SWARM_HEADERS.",
            )
        name, value = name.strip(), value.strip()
        _check_header(name, value)
        if name.lower() in {known.lower() for known in headers}:
            raise SettingProblem(f"The header {name} is given twice.", expected="each header once", action=_REMOVE)
        headers[name] = value
    return headers


JSON_HEADERS: Final[Mapping[str, str]] = {"Accept": "application/json", "Content-Type": "application/json"}


def request_heads(
    target: Target,
    headers: Mapping[str, str] | None = None,
    format_headers: Mapping[str, str] = JSON_HEADERS,
    *,
    method: str = METHOD,
    is_open: bool = False,
) -> Callable[[int], bytes]:
    """Return a function that makes the head of a request from its body's length.

    `headers` are from `parse_headers` and go before `format_headers`, those of the API. With `is_open` the head ends
    where what is stored of a request begins with the rest of it (`RequestFormat.begins_with_headers`).
    """
    fields = {"Host": target.authority, "User-Agent": "inference-swarm", **format_headers}
    names = {name.lower(): name for name in fields}
    for name, value in (headers or {}).items():
        fields[names.get(name.lower(), name)] = value
    lines = [
        f"{method} {target.path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
        "" if is_open else "Content-Length: ",
    ]
    start = "\r\n".join(lines).encode("latin-1")
    if is_open:
        return lambda _: start
    return lambda body_bytes: b"%b%d\r\n\r\n" % (start, body_bytes)


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise SettingProblem(
            f"The header name {name!r} is not valid.", expected="letters, digits and -", action=_REMOVE
        )
    if name.lower() in _OURS:
        raise SettingProblem(
            f"The header {name} cannot be set.", expected="a header that does not frame the message", action=_REMOVE
        )
    try:
        value.encode("latin-1")
    except UnicodeError:
        is_latin = False
    else:
        is_latin = True
    if not is_latin or _BAD_VALUE.search(value):
        raise SettingProblem(
            f"The value of header {name} holds characters that HTTP does not allow.",
            expected="printable Latin-1 text on one line",
            action=_REMOVE,
        )
