"""A text file in, pieces that begin and end with a row out, each small enough to be parsed in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.data_files import DataFile
from inference_swarm.data.parquet_files import changed
from inference_swarm.errors import DataError

PIECE_BYTES: Final = 1024 * 1024
# A piece costs 50 µs a column however few rows it has: those of a wide file are larger, for some more rows.
MIN_PIECE_ROWS: Final = 64
MAX_PIECE_BYTES: Final = 16 * 1024 * 1024
MAX_DOUBLE_INTEGER: Final = 2**53
MAX_ROW_BYTES: Final = 64 * 1024 * 1024
_NEWLINE, _QUOTE = b'\n"'
_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz"}
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole rows of a text file."""

    offset: int
    data: bytes

    @property
    def checksum(self) -> int:
        """Return a checksum that shows whether the piece is the same when it is read again."""
        return zlib.crc32(self.data)


def iter_pieces(
    location: str, file: pa.NativeFile, start: int, *, has_quotes: bool, piece_bytes: int = 0
) -> Iterator[Piece]:
    """Yield the file from `start` on, cut behind newlines; with `has_quotes`, not inside of double quotes.

    A piece has about PIECE_BYTES; up to MAX_PIECE_BYTES until it has MIN_PIECE_ROWS. Memory holds one.
    DataError when no row ends within MAX_ROW_BYTES.
    """
    file.seek(start)
    offset, rest = start, b""
    while True:
        more = bytes(file.read(piece_bytes or PIECE_BYTES))
        if not more:
            break
        rest += more
        if len(rest) < MAX_PIECE_BYTES and rest.count(_NEWLINE) < MIN_PIECE_ROWS and not piece_bytes:
            continue
        cut = _last_row_end(rest, has_quotes)
        if cut:
            yield Piece(offset, rest[:cut])
            offset, rest = offset + cut, rest[cut:]
        elif len(rest) > MAX_ROW_BYTES:
            raise DataError(
                f"{without_secrets(location)} has no end of a row within {MAX_ROW_BYTES // 2**20} MiB "
                f"from byte {offset} on.",
                expected="rows that end with a newline"
                + (", and as many opening as closing double quotes." if has_quotes else "."),
                action="correct the file, or convert it to parquet.",
            )
    if rest.strip():
        yield Piece(offset, rest)


def read_piece(file: pa.NativeFile, known: DataFile, number: int) -> bytes:
    """The piece of that number. DataError when the file is not what it was."""
    size_bytes = file.size()
    begin, end = known.piece_offsets[number : number + 2]
    if size_bytes == known.size_bytes:
        data = bytes(file.read_at(end - begin, begin))
        if zlib.crc32(data) == known.piece_checksums[number]:
            return data
    raise changed(known, size_bytes)


def exceeds_double(column: pa.ChunkedArray) -> bool:
    """Return whether a number of the column, or inside of its values, is so large that doubles skip integers there."""
    return any(map(_exceeds_double, column.chunks))


def _exceeds_double(values: pa.Array) -> bool:
    if pa.types.is_struct(values.type):
        return any(map(_exceeds_double, values.flatten()))
    if pa.types.is_list(values.type):
        return _exceeds_double(values.flatten())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return False
    limits = pc.min_max(values).as_py()
    return any(limit is not None and abs(limit) >= MAX_DOUBLE_INTEGER for limit in limits.values())


def check_text(location: str, file: pa.NativeFile) -> int:
    """Return where the text begins, behind a byte order mark. Raises DataError for what cannot be cut into pieces."""
    start = bytes(file.read_at(min(4, file.size()), 0))
    shown = without_secrets(location)
    if not start:
        raise DataError(f"{shown} is empty (0 bytes).", expected="rows.", action="make or copy it again.")
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"{shown} is compressed with {name}: it cannot be read from the middle.",
                expected="text that is not compressed, so that each worker reads its part; or parquet, which is "
                "compressed inside.",
                action="unpack it, or convert it to parquet.",
            )
    if start.startswith(_UTF16):
        raise DataError(f"{shown} is UTF-16 text.", expected="UTF-8.", action="save it again as UTF-8.")
    return len(BOM) if start.startswith(BOM) else 0


def _last_row_end(data: bytes, has_quotes: bool) -> int:
    if not has_quotes or _QUOTE not in data:
        return data.rfind(b"\n") + 1
    view = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(view == _NEWLINE)
    quotes_before = np.searchsorted(np.flatnonzero(view == _QUOTE), newlines)
    ends = newlines[quotes_before % 2 == 0]
    return int(ends[-1]) + 1 if len(ends) else 0
