"""The head of a prepared request with another path, other headers and another body: bytes in, bytes out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inference_swarm.errors import SettingProblem
from inference_swarm.transport.target import parse_headers

_PATH = re.compile(r"/[\x21-\x7e]*")
_END = b"\r\n\r\n"


def body_of(request: bytes) -> bytes:
    """Return the body of a whole request."""
    return request.partition(_END)[2]


def edited(request: bytes, body: bytes, *, path: str | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """Return `request` with this body. `path` has its query; headers replace those of the same name, others stay.

    Raises SettingProblem for a header that may not be set, and for a path that is none.
    """
    first, *lines = request.partition(_END)[0].split(b"\r\n")
    if path is not None:
        if not _PATH.fullmatch(path):
            raise SettingProblem(
                f"The path {path!r} cannot be sent.",
                expected="a path from / on, with blanks and other letters as %20",
                action="encode it with urllib.parse.quote.",
            )
        method, _, rest = first.partition(b" ")
        first = b" ".join((method, path.encode("ascii"), rest.rpartition(b" ")[2]))
    if any("\n" in value or "\r" in value for value in (headers or {}).values()):
        raise SettingProblem("A header's value holds a line end.", expected="one line", action="Take it out.")
    given = parse_headers("\n".join(f"{name}: {value}" for name, value in (headers or {}).items()))
    dropped = {b"content-length", *(name.lower().encode() for name in given)}
    kept = [line for line in lines if line.partition(b":")[0].lower() not in dropped]
    added = [f"{name}: {value}".encode("latin-1") for name, value in given.items()]
    return b"\r\n".join([first, *kept, *added, b"Content-Length: %d" % len(body)]) + _END + body


def with_headers(request: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request with these headers behind its first line."""
    first, end, rest = request.partition(b"\r\n")
    lines = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
    return b"".join((first, end, lines, rest))
