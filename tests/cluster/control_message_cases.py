"""Locust's own messages are cut to what the master accepts before they are sent."""

from __future__ import annotations

import pytest
from locust.rpc import Message

from inference_swarm.cluster.control_messages import check_payload, decode_message, shorten
from inference_swarm.errors import ProtocolError

LONG = "began here " + "x" * 100_000 + " raised this"


def sent(kind: str, data: object) -> Message:
    return decode_message(shorten(Message(kind, data, "worker")).serialize())  # type: ignore[no-untyped-call]


def test_a_long_exception_arrives_with_its_beginning_its_end_and_the_length_of_what_is_left_out() -> None:
    with pytest.raises(ProtocolError):
        check_payload(Message("exception", {"msg": LONG, "traceback": "t"}, "worker"))  # type: ignore[no-untyped-call]
    message = sent("exception", {"msg": "short", "traceback": LONG})
    check_payload(message)
    assert message.data["msg"] == "short"
    traceback = message.data["traceback"]
    assert traceback.startswith("began here xxx")
    assert traceback.endswith("xxx raised this")
    assert "(91,931 of 100,023 characters are left out)" in traceback
    check_payload(sent("exception", {"msg": LONG, "traceback": LONG}))


def test_a_long_line_of_a_log_is_cut_and_the_others_are_as_they_were() -> None:
    message = sent("logs", {"worker_id": "w", "logs": ["one", LONG]})
    check_payload(message)
    assert message.data["logs"][0] == "one"
    assert len(message.data["logs"][1]) < 10_000


def test_other_messages_are_as_they_were() -> None:
    message = Message("custom", {"text": LONG}, "worker")  # type: ignore[no-untyped-call]
    assert shorten(message) is message
