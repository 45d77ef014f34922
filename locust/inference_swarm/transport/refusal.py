"""The response to one row before a run in, why the run is refused out, in the server's own words. Pure."""

from __future__ import annotations

from typing import Final

from inference_swarm.errors import SwarmError
from inference_swarm.transport.attempt import describe_status
from inference_swarm.transport.body import first_words
from inference_swarm.transport.response import TOO_LARGE
from inference_swarm.transport.rules import AttemptRules

# A model server may say in front of the reason what data it was given.
MAX_WORDS: Final = 2_000
_LAST_BYTES: Final = 500
_ANYWAY: Final = "--no-probe begins the run all the same"
_BY_STATUS: Final = {
    401: "send what the server asks for, such as --header 'Authorization: Bearer …'",
    403: "send what the server asks for, such as --header 'Authorization: Bearer …', or ask who may use it",
    404: "check --host, --path, --model and --model-version, and that --api is what this server speaks",
    405: "check --host and --path, and that --api is what this server speaks",
    413: "send fewer or smaller columns (--columns), or raise the server's limit",
    415: "choose the --api that this server speaks, or set --header 'Content-Type: …'",
    429: "wait until the server has room, or raise its limit",
    503: "wait until the server is ready, as --wait-ready 60s does",
}
_BY_CLASS: Final = {
    3: "redirects are not followed: give the address that the server redirects to as --host",
    4: "compare the request that --print-row 0 shows with what the model takes; --columns, --drop-columns and --rename "
    "say what is sent",
    5: "look into the server's log; compare the request that --print-row 0 shows with what the model takes",
}
_CHECK_ADDRESS: Final = "a page is what a proxy, a login or another service shows: check --host, its port and --path"


class ServerRefusal(SwarmError):
    """The server does not take what the run would send."""


def find_refusal(status: int, body: bytes, rules: AttemptRules, url: str, api: str) -> ServerRefusal | None:
    """Return why a run with this response to its first row is refused; None if it may begin.

    `body` is decompressed, `url` where the row was sent.
    """
    said = words_of(body)
    where = f"POST {url} responded {describe_status(status)}"
    if status not in rules.expected_status:
        action = _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, "check --host, and what listens there")
        expected = "a status of --expect-status to the first row of the run"
        return ServerRefusal(f"the server refused one row: {where}: {said}", expected=expected, action=_or_not(action))
    if is_page(body):
        return ServerRefusal(
            f"the server answered one row with a page of HTML: {where}: {said}",
            expected=f"predictions, as --api {api} has them",
            action=_or_not(_CHECK_ADDRESS),
        )
    problem = rules.response_check and rules.response_check(body, 1)
    if problem:
        return ServerRefusal(
            f"the answer to one row fails --check-answer ({problem}): {where}: {said}",
            expected=f"one prediction, as --api {api} has it",
            action=_or_not("look into the server's log, choose the --api that it speaks, or leave --check-answer out"),
        )
    return None


def no_http(words: str, said: str, url: str) -> ServerRefusal:
    """Return the refusal of a run whose server sent something, but no HTTP response: `words` say what is wrong."""
    if words.endswith(TOO_LARGE):
        return ServerRefusal(
            f"the response to one row is too large ({words}): POST {url}: {said or '(no text)'}",
            expected="predictions, which are short",
            action=_or_not("check --host and --path, and that --api is what this server speaks"),
        )
    return ServerRefusal(
        f"the server answered one row with what is no HTTP response ({words}): POST {url}: {said or '(no text)'}",
        expected="a model server behind this address, which speaks HTTP/1.1",
        action=_or_not("check --host and its port, and whether it is http or https"),
    )


def words_of(body: bytes) -> str:
    """Return what the server says, on one line; of a long text the beginning and, where a traceback has its reason, the
    end.
    """
    if len(body) <= MAX_WORDS + _LAST_BYTES:
        return first_words(body, max_characters=MAX_WORDS + _LAST_BYTES) or "(no text)"
    # By bytes, from a character's first one: of a body in MB no more is decoded.
    last = body.rstrip()[-_LAST_BYTES:].lstrip(bytes(range(0x80, 0xC0)))
    return f"{first_words(body, max_characters=MAX_WORDS)} … {first_words(last, max_characters=_LAST_BYTES)}"


def is_page(body: bytes) -> bool:
    """Return whether the body is made for a browser."""
    return body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))


def _or_not(action: str) -> str:
    return f"{action}; {_ANYWAY}"
