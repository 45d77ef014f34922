"""Answers on their way from a worker to the file of `--record-answers`: packed, unpacked, put in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa

from inference_swarm.errors import ProtocolError
from inference_swarm.load.answer_log import Judged

RecordedAnswer = tuple[int, Any]
"""The number of a row, and its prediction."""
_SIZE_BYTES = 8
_MAX_BYTES = 1 << 30


def recorded_answers(judged: Iterable[Judged]) -> Iterator[RecordedAnswer]:
    """Yield the prediction of each row."""
    for one in judged:
        if one.predictions is not None:
            yield from zip(one.rows, one.predictions, strict=True)


def pack_recorded(answers: Sequence[RecordedAnswer]) -> bytes:
    """Return bytes for a message; none for none."""
    if not answers:
        return b""
    plain = orjson.dumps(answers)
    packed: bytes = pa.compress(plain, codec="zstd", asbytes=True)
    return len(plain).to_bytes(_SIZE_BYTES, "little") + packed


def unpack_recorded(packed: bytes) -> list[RecordedAnswer]:
    """Read what `pack_recorded` returned; raises ProtocolError."""
    if not packed:
        return []
    try:
        size = int.from_bytes(packed[:_SIZE_BYTES], "little")
        if size > _MAX_BYTES:
            raise ValueError(f"{size} bytes")
        plain = pa.decompress(packed[_SIZE_BYTES:], decompressed_size=size, codec="zstd", asbytes=True)
        return [(int(row), answer) for row, answer in orjson.loads(plain)]
    except (ValueError, TypeError, OSError) as error:
        raise ProtocolError(
            f"recorded answers that cannot be read: {error}", expected="a message of this release"
        ) from error


class RecordedAnswers:
    """The answers to all rows of a dataset, None where there is none."""

    def __init__(self, rows: int) -> None:
        self.answers: list[Any] = [None] * rows
        self.known = 0

    def add(self, packed: bytes) -> None:
        """Add those of one report; of a row that was answered twice the first answer counts."""
        for row, answer in unpack_recorded(packed):
            if 0 <= row < len(self.answers) and self.answers[row] is None:
                self.answers[row] = answer
                self.known += 1
