"""Locust's own messages from workers: cut before they are sent, checked before Locust's code sees them.

Bytes in, a Message or ProtocolError out. Knows no socket.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgpack  # type: ignore[import-untyped]
from locust.rpc import Message
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from inference_swarm.config.documents import in_utf8
from inference_swarm.errors import ProtocolError

# A worker's report of a thousand request names with full histograms stays below; a socket takes four times as much.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_NAME = 256
# Of what a worker sends of an exception or a line of its log.
MAX_TEXT = 8192

Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=1 << 16)]


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class Users(_Payload):
    """How many users a worker runs."""

    user_classes_count: dict[Text, Count]
    user_count: Count


def _tally(value: object) -> object:
    """Counts by number, told in one look at all of them: an entry has many, and a report many entries."""
    if type(value) is not dict or not set(map(type, value)) <= {int, float}:
        raise ValueError("Input should be counts by numbers")
    if value and (
        set(map(type, value.values())) != {int} or not 0 <= min(value.values()) <= max(value.values()) < 1 << 62
    ):
        raise ValueError("Input should have counts from 0 to 2^62")
    return value


_Tally = Annotated[dict[Any, Any], PlainValidator(_tally)]


class _StatsEntry(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)  # type: ignore[misc]

    name: Text
    method: Text | None
    last_request_timestamp: float | None
    start_time: float
    num_requests: Count
    num_none_requests: Count
    num_failures: Count
    total_response_time: float
    max_response_time: float
    min_response_time: float | None
    total_content_length: Count
    response_times: _Tally
    num_reqs_per_sec: _Tally
    num_fail_per_sec: _Tally


class _Error(_Payload):
    name: Text
    method: Text | None
    error: Text
    occurrences: Count
    first_seen: float | None = None
    last_seen: float | None = None


class Stats(Users):
    """Locust's own statistics in a report; our snapshot travels beside them and is read by its own module."""

    stats: list[_StatsEntry]
    stats_total: _StatsEntry
    errors: dict[Text, _Error]


class UserException(_Payload):
    """An exception in a user's code."""

    msg: Text
    traceback: Text


class Logs(_Payload):
    """The last lines of a worker's log."""

    worker_id: Text
    logs: list[Text]


def shorten(message: Message) -> Message:
    """Return one of Locust's own messages with texts that the master accepts: what is too long is cut, and says so."""
    data = message.data
    if message.type == "exception":
        data = {**data, "msg": _cut_middle(str(data["msg"])), "traceback": _cut_middle(str(data["traceback"]))}
    elif message.type == "logs":
        data = {**data, "logs": [_cut_middle(str(line)) for line in data["logs"]]}
    else:
        return message
    return Message(message.type, data, message.node_id)  # type: ignore[no-untyped-call]


def _cut_middle(text: str) -> str:
    """Keep the beginning and the end: of a traceback, where it began and what was raised."""
    text = in_utf8(text)
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2 - 50
    return f"{text[:half]} … ({len(text) - 2 * half:,} of {len(text):,} characters are left out) … {text[-half:]}"


_CHECKS: dict[str, TypeAdapter[Any]] = {
    "exception": TypeAdapter(UserException),
    "logs": TypeAdapter(Logs),
}
_STATS = TypeAdapter(Stats)


def decode_message(data: bytes) -> Message:
    """Return a message as Locust packs it. Raises ProtocolError and nothing else, whatever the bytes are."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {len(data)} bytes", expected=f"at most {MAX_MESSAGE_BYTES} bytes")
    try:
        parts = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except Exception as error:  # msgpack raises a dozen kinds; none of them may end the master
        raise ProtocolError(f"bytes that are not a message ({type(error).__name__})") from error
    if not isinstance(parts, list) or len(parts) != 3:
        raise ProtocolError("a message that is not a list of type, data and sender")
    kind, content, sender = parts
    if not isinstance(kind, str) or not isinstance(sender, str) or not len(kind) <= MAX_NAME >= len(sender):
        raise ProtocolError("a message whose type or sender is not text")
    return Message(kind, content, sender)  # type: ignore[no-untyped-call]


def check_payload(message: Message) -> None:
    """Raise ProtocolError when one of Locust's own messages is not as Locust makes it."""
    check = _CHECKS.get(message.type)
    if check is not None:
        _validate(check, message.data, f"a {message.type} message")


def check_locust_report(locust: object) -> None:
    """Raise ProtocolError when Locust's part of a report is not as Locust makes it."""
    _validate(_STATS, locust, "Locust's part of a report")


def _validate(check: TypeAdapter[Any], data: object, what: str) -> None:
    try:
        check.validate_python(data)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(ascii(part)[:60] for part in problem["loc"][:4]) or "data"
        raise ProtocolError(f"{what} with a bad {place}: {problem['msg'][:200]}") from error
