from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import cast

from inference_swarm.load.pairs import Pairs, Side
from inference_swarm.transport.client import InferenceClient

NO_CLIENT = cast("InferenceClient", None)


def sides() -> list[Side]:
    def head(path: str) -> Callable[[int], bytes]:
        return lambda length: f"POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode()

    return [Side(NO_CLIENT, head("/a")), Side(NO_CLIENT, head("/b"))]


def requests_of(rows: int) -> Callable[[], bytes | None]:
    left = iter([b"POST /a HTTP/1.1\r\n\r\n%d" % row for row in range(rows)])
    return lambda: next(left, None)


def test_each_row_goes_to_both_one_after_the_other_in_an_order_that_is_drawn() -> None:
    pairs = Pairs(sides(), requests_of(1000), None, "7")
    turns = [turn for turn in (pairs.take() for _ in range(2001)) if turn is not None]
    assert len(turns) == 2000
    firsts: Counter[int] = Counter()
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        assert {first.side, second.side} == {0, 1}
        assert first.request.rpartition(b"\n")[2] == second.request.rpartition(b"\n")[2]
        firsts[first.side] += 1
    assert turns[0].request.startswith((b"POST /a HTTP", b"POST /b HTTP"))
    assert {turn.request[:7] for turn in turns if turn.side == 1} == {b"POST /b"}
    assert 440 < firsts[0] < 560
    again = Pairs(sides(), requests_of(1000), None, "7")
    assert [turn.side for turn in turns] == [turn.side for turn in (again.take() for _ in range(2000)) if turn]


def test_batches_keep_their_rows() -> None:
    taken = iter([((3, 4), b"POST /a HTTP/1.1\r\n\r\n34"), None])
    pairs = Pairs(sides(), lambda: None, lambda: next(taken), "")
    one, other = pairs.take(), pairs.take()
    assert one is not None
    assert other is not None
    assert [(turn.row_count, turn.rows) for turn in (one, other)] == [(2, (3, 4))] * 2
    assert pairs.take() is None
