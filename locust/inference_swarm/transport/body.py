"""The body of a response as the server meant it: decompressed, and its first words for people. Pure."""

from __future__ import annotations

import zlib
from typing import Final

MAX_TEXT_CHARACTERS: Final = 400
MAX_TEXT_BYTES: Final = 4 * MAX_TEXT_CHARACTERS
KEPT_FOR_TEXT_BYTES: Final = 16 * 1024
"""How much of a body is kept for its first words; compressed ones need more than they show."""
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class EncodingError(Exception):
    """The body is not what its Content-Encoding says, or larger than may be, or in an encoding that is not known."""


def decode_body(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """`body` without its Content-Encoding: gzip, deflate, or none. Raises EncodingError."""
    decoded, is_whole = _decode(body, encoding, max_bytes)
    if not is_whole:
        raise EncodingError(f"the body in {encoding} is cut short, damaged or too large")
    return decoded


def first_words(body: bytes, encoding: str = "", max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """The beginning of a body, of which the end may be missing, on one line; "" for one without text."""
    max_bytes = 4 * max_characters
    try:
        decoded, _ = _decode(body, encoding, max_bytes)
    except EncodingError as error:
        return f"({error})"
    text = decoded[:max_bytes].decode("utf-8", "replace").strip()[:max_characters]
    return "".join(character if character.isprintable() else " " for character in text)


def _decode(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """Return what could be decoded, at most `max_bytes`, and whether that is everything."""
    names = [name for name in (part.strip() for part in encoding.split(",")) if name not in ("", "identity")]
    if not names:
        return body[:max_bytes], len(body) <= max_bytes
    if len(names) > 1 or names[0] not in ("gzip", "x-gzip", "deflate"):
        raise EncodingError(f"the body is in {encoding[:60]}, which is not read")
    if names[0] == "deflate" and not _has_zlib_header(body):
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)  # raw deflate, as some servers send it
    else:
        decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        decoded = decoder.decompress(body, max_bytes)
    except zlib.error:
        return b"", False
    return decoded, decoder.eof and not decoder.unused_data


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
