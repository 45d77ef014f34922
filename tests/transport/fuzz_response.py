"""Random and mutated bytes against the response parser; or: `python -m tests.transport.fuzz_response 1000000`.

Each input is read whole and, in pieces cut at random, once more, and through known shapes of heads. All must agree, and
nothing but ResponseError may come out.
"""

from __future__ import annotations

import random
import sys
import time
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "locust"))

from inference_swarm.transport.head_shapes import HEAD_END, HeadShapes
from inference_swarm.transport.response import ResponseError, ResponseLimits, ResponseParser

LIMITS = ResponseLimits(head_bytes=4096, header_count=30, body_bytes=20_000)
SHAPES = HeadShapes(bytearray(65536), LIMITS)
SEEDS = [
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 21:43:00 GMT\r\n"
    b'Content-Type: application/json\r\nContent-Length: 19\r\nConnection: keep-alive\r\n\r\n{"predictions":[0]}',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 500 Oops\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nKeep-Alive: timeout=5\r\n\r\n",
]
TOKENS = [
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b":",
        b" ",
        b"\t",
        b"\x00",
        b"\xff",
        b"0",
        b"-1",
        b"ffffffffffffffff",
        b"1e3",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(
        b"HTTP/1.1 ",
        b"HTTP/1.0 ",
        b"HTTP/9.9 ",
        b"200",
        b"199",
        b"204",
        b"999",
        b"Upgrade: x\r\n",
        b";" * 50,
        b"A" * 5000,
    ),
]


for seed in SEEDS:
    SHAPES.learn(seed[: seed.find(HEAD_END) + 4])


def make_input(dice: random.Random) -> bytes:
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(1, 300))
    data = bytearray(dice.choice(SEEDS))
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                data[at:at] = dice.choice(TOKENS)
            case 2:
                del data[at : at + dice.randrange(1, 20)]
            case 3:
                data[at:at] = data[dice.randrange(len(data) + 1) :][:40]
            case 4:
                other = dice.choice(SEEDS)
                data[at:] = other[dice.randrange(len(other)) :]
            case 5:
                data[at : at + 1] = bytes([data[at] ^ (1 << dice.randrange(8))]) if at < len(data) else b""
    return bytes(data)


def read(pieces: list[bytes]) -> tuple[object, ...]:
    parser = ResponseParser(LIMITS)
    try:
        for piece in pieces:
            parser.feed(piece)
        if parser.ends_with_connection:
            parser.feed_end()
    except ResponseError:
        return ("refused",)
    return parser.is_complete, parser.status, parser.body, parser.is_complete and parser.is_keep_alive


def check_input(data: bytes, dice: random.Random) -> tuple[object, ...]:
    """Raises AssertionError when two readings differ, and whatever the parser should not have raised."""
    whole = read([data] if data else [])
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, 5)))
    bounds = [0, *cuts, len(data)]
    pieces = [data[start:end] for start, end in pairwise(bounds) if end > start]
    in_pieces = read(pieces)
    assert in_pieces == whole, (data, pieces, whole, in_pieces)
    check_shapes(data, whole, SHAPES)
    own = HeadShapes(bytearray(len(data) + 10), LIMITS)
    own.learn(data[: data.find(HEAD_END) + 4])
    check_shapes(data, whole, own)
    return whole


def check_shapes(data: bytes, whole: tuple[object, ...], shapes: HeadShapes) -> None:
    """What a known shape accepts is what the parser reads, with the same status, body and connection."""
    if len(data) > len(shapes.buffer):
        return
    shapes.buffer[: len(data)] = data
    body_bytes = shapes.match(len(data))
    if body_bytes >= 0:
        assert shapes.shape is not None
        body = data[shapes.head_bytes :]
        assert whole == (True, shapes.shape.status, body, True), (data, shapes.shape, whole)
        assert len(body) == body_bytes


def fuzz(count: int, seed: int) -> dict[str, int]:
    """How many inputs were responses, incomplete or refused."""
    dice = random.Random(seed)
    seen = {"complete": 0, "incomplete": 0, "refused": 0}
    for _ in range(count):
        result = check_input(make_input(dice), dice)
        seen["refused" if result == ("refused",) else "complete" if result[0] else "incomplete"] += 1
    return seen


if __name__ == "__main__":
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    begin_s = time.monotonic()
    print(inputs, "inputs:", fuzz(inputs, int(time.time())), f"in {time.monotonic() - begin_s:.0f} s")  # noqa: T201
