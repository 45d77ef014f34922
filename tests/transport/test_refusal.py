"""Why a run is refused after the response to one row, in words that fit what was there."""

from __future__ import annotations

import pytest

from inference_swarm.transport.refusal import no_http, words_of

URL = "http://127.0.0.1:1/invocation"


@pytest.mark.parametrize(
    ("words", "found", "action"),
    [
        ("not HTTP: Expected HTTP/", "with what is no HTTP response (not HTTP: Expected HTTP/)", "http or https"),
        ("body larger than the limit", "the response to one row is too large (body larger", "check --host and --path"),
        ("head larger than the limit", "the response to one row is too large (head larger", "check --host and --path"),
    ],
)
def test_what_is_no_response_and_what_is_too_large_a_one_are_told_apart(words: str, found: str, action: str) -> None:
    said = str(no_http(words, "HTTP/1.1 200 OK", URL))
    assert found in said
    assert f"POST {URL}: HTTP/1.1 200 OK" in said
    assert action in said


def test_of_a_long_text_the_end_is_shown_too_where_a_traceback_has_its_reason() -> None:
    body = b"Traceback (most recent call last):\n" + b"  File x.py\n" * 900 + "KeyError: 'é age'\n".encode()
    said = words_of(body)
    assert said.startswith("Traceback (most recent call last):   File x.py")
    assert said.endswith("File x.py KeyError: 'é age'")
    assert " … " in said
    assert len(said) < 2_600


@pytest.mark.parametrize("length", [400, 2_000, 2_001, 2_500])
def test_a_shorter_text_is_shown_whole(length: int) -> None:
    assert words_of(b"x" * length) == "x" * length


def test_a_character_is_not_cut_in_the_middle_and_nothing_is_said_to_be_nothing() -> None:
    for shift in range(4):
        assert "\ufffd" not in words_of("😀".encode() * 2_000 + b"x" * shift)
    assert words_of(b"") == words_of(b" \n") == "(no text)"
