"""Answers are looked at when a response is whole and timed: on the fast path and off it, and only if asked for."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import pytest

from inference_swarm.transport.check import ResponseCheck
from inference_swarm.transport.client import InferenceClient
from inference_swarm.transport.connection import Connection
from inference_swarm.transport.fast_path import ALL_NOTED
from inference_swarm.transport.outcome import ErrorKind, Outcome
from tests.transport.scripted_server import Peer, request_to, run, serve
from tests.transport.test_fast_path import HEAD, OK, Case

SLOW_S = 0.05


class Answers:
    """Looks at the requests that it is told to; a body is right if it is in `right`."""

    def __init__(self, *right: bytes) -> None:
        self.right = right
        self.asked: dict[int, bytes] = {}
        self.accepted: list[bytes] = []
        self.judged: list[bytes] = []
        self.forgotten: list[bytes] = []
        self.pause_s = 0.0

    def ask(self, request: bytes) -> bytes:
        self.asked[id(request)] = request
        return request

    def accepts(self, request: bytes, body: bytes, sent_ns: int, done_ns: int) -> bool:
        time.sleep(self.pause_s)
        if body not in self.right:
            return False
        assert self.asked.pop(id(request)) is request
        assert 0 < sent_ns <= done_ns <= time.monotonic_ns()
        self.accepted.append(body)
        return True

    def check_of(self, request: bytes, intended_ns: int, sent_ns: int, done_ns: int) -> ResponseCheck | None:
        if id(request) not in self.asked:
            return None
        assert 0 < intended_ns <= sent_ns <= done_ns

        def check(body: bytes, row_count: int) -> str | None:
            time.sleep(self.pause_s)
            self.judged.append(body)
            return None if body in self.right else "not the one"

        return check

    def sent_as(self, request: bytes, sent: bytes) -> None:
        raise AssertionError("nobody traces here")

    def forget(self, request: bytes) -> None:
        self.forgotten.append(request)
        self.asked.pop(id(request), None)


def case_of(answers: Answers, bodies: list[bytes], *, asked: Callable[[int], bool]) -> Case:
    responses: list[bytes | Exception] = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(b) + b for b in bodies]
    case = Case(responses, [99] * len(bodies), rows=len(bodies), answers=answers)
    take = case.take

    def take_asked() -> bytes | None:
        request = take()
        return answers.ask(request) if request is not None and asked(case.taken) else request

    case.take = take_asked  # type: ignore[method-assign]
    return case


def test_right_answers_stay_on_the_fast_path_whatever_their_length() -> None:
    answers = Answers(b"[]", b"[1]", b"[22]")
    case = case_of(answers, [b"[]", b"[1]", b"[22]", b"[]", b"[1]"], asked=lambda number: True)
    assert case.run() == ALL_NOTED
    assert answers.accepted == [b"[]", b"[1]", b"[22]", b"[]", b"[1]"]
    assert case.log.take_batch().body_bytes == 14
    assert answers.asked == {}


@pytest.mark.parametrize("wrong", [b"()", b"[1]"])
def test_a_wrong_answer_is_handed_over_to_the_user_and_not_noted(wrong: bytes) -> None:
    answers = Answers(b"[]")
    case = case_of(answers, [b"[]", wrong, b"[]"], asked=lambda number: True)
    assert case.run() == len(HEAD) + len(wrong)
    assert (case.path.request, case.path.is_in_flight) == (b"request 002", True)
    assert answers.asked == {id(case.path.request): case.path.request}
    batch = case.log.take_batch()
    assert (batch.success_count, batch.body_bytes) == (1, 2)


def test_an_answer_that_cannot_be_looked_at_in_the_event_loop_is_the_users_to_look_at() -> None:
    answers = Answers(b"[]")
    case = case_of(answers, [b"[]", b"[]"], asked=lambda number: True)

    def accepts(request: bytes, body: bytes, sent_ns: int, done_ns: int) -> bool:
        raise OverflowError("int too large to convert to float")

    answers.accepts = accepts  # type: ignore[method-assign]
    assert case.run() == len(HEAD) + 2
    assert case.path.is_in_flight
    assert case.log.take_batch().success_count == 0


def test_answers_that_nobody_asks_for_are_not_looked_at() -> None:
    answers = Answers(b"[]")
    case = case_of(answers, [b"()", b"[]", b"()", b"[]"], asked=lambda number: number % 2 == 0)
    assert case.run() == ALL_NOTED
    assert answers.accepted == [b"[]", b"[]"]


def respond(*pieces: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        for piece in pieces:
            peer.read_request()
            peer.send(piece)
        peer.wait_closed()

    return script


def attempts(client: InferenceClient, answers: Answers, *asked: bool) -> list[Outcome]:
    def send(connection: Connection) -> list[Outcome]:
        found = []
        for is_asked in asked:
            request = request_to(client)
            found.append(connection.attempt(answers.ask(request) if is_asked else request))
        return found

    outcomes: list[Outcome] = run(send, client)
    return outcomes


def test_a_wrong_answer_is_a_failure_of_its_kind_and_the_connection_goes_on() -> None:
    answers = Answers(b"[]")
    with serve(respond(OK, OK.replace(b"[]", b"()"), OK), answers=answers) as (client, _):
        outcomes = attempts(client, answers, True, True, True)
    errors = [outcome.error for outcome in outcomes]
    assert (errors[0], errors[2]) == (None, None)
    assert errors[1] is not None
    assert (errors[1].kind, errors[1].detail, outcomes[1].failure_text) == (ErrorKind.ANSWER, "not the one", "()")
    assert answers.judged == [b"[]", b"()", b"[]"]
    assert (len(answers.forgotten), answers.asked) == (3, {})


def test_a_compressed_answer_is_looked_at_by_the_user() -> None:
    body = gzip.compress(b"[]")
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answers = Answers(b"[]")
    with serve(respond(data, data), answers=answers) as (client, _):
        assert [outcome.error for outcome in attempts(client, answers, True, True)] == [None, None]
        assert not client.shapes.is_primed
    assert answers.judged == [b"[]", b"[]"]


def test_a_request_that_fails_otherwise_is_forgotten() -> None:
    answers = Answers(b"[]")
    with serve(respond(OK.replace(b"200", b"503"), b""), answers=answers) as (client, _):
        outcomes = attempts(client, answers, True)
    assert outcomes[0].error is not None
    assert outcomes[0].error.kind is ErrorKind.STATUS
    assert (answers.judged, answers.asked) == ([], {})
    with serve(lambda peer: peer.close(), answers=answers) as (client, _):
        outcomes = attempts(client, answers, True)
    assert outcomes[0].error is not None
    assert answers.asked == {}


def test_looking_takes_none_of_the_measured_time() -> None:
    answers = Answers(b"[]")
    answers.pause_s = SLOW_S
    with serve(respond(OK, OK), answers=answers) as (client, _):
        outcomes = attempts(client, answers, True, True)
    assert outcomes[1].service_ns < SLOW_S * 1e9 / 2
    case = case_of(answers, [b"[]"] * 3, asked=lambda number: True)
    assert case.run() == ALL_NOTED
    assert case.log.take_batch().service_ns.max() < SLOW_S * 1e9 / 2
