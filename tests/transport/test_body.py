"""Bodies as the server meant them, and their first words."""

from __future__ import annotations

import gzip
import zlib

import pytest

from inference_swarm.transport.body import MAX_TEXT_CHARACTERS, EncodingError, decode_body, first_words

TEXT = b'{"detail":"columns are missing: age"}'


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "": TEXT,
    "identity": TEXT,
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "deflate ": raw_deflate(TEXT),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encoded_bodies_are_read(encoding: str) -> None:
    body = ENCODED[encoding]
    assert decode_body(body, encoding, 1000) == TEXT
    assert first_words(body, encoding) == TEXT.decode()
    with pytest.raises(EncodingError, match="too large"):
        decode_body(body, encoding, 10)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "deflate "])
def test_damaged_bodies_are_refused_and_what_can_be_read_of_them_is_shown(encoding: str) -> None:
    long = b" ".join(b"%d" % number for number in range(5000))
    whole = {"gzip": gzip.compress, "deflate": zlib.compress, "deflate ": raw_deflate}[encoding](long)
    for body in (whole[:-10], b"", whole + b"more"):
        with pytest.raises(EncodingError):
            decode_body(body, encoding, 1_000_000)
    assert first_words(whole[: len(whole) // 2], encoding).startswith("0 1 2 3 4")
    assert first_words(b"no such thing", encoding) == ""


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip"])
def test_other_encodings_are_named(encoding: str) -> None:
    with pytest.raises(EncodingError, match=encoding):
        decode_body(b"x", encoding, 10)
    assert encoding in first_words(b"x", encoding)


def test_a_small_body_cannot_become_a_large_text() -> None:
    bomb = gzip.compress(b"x" * 50_000_000)
    assert first_words(bomb, "gzip") == "x" * MAX_TEXT_CHARACTERS
    with pytest.raises(EncodingError):
        decode_body(bomb, "gzip", 1_000_000)


def test_first_words_are_printable_and_on_one_line() -> None:
    assert first_words(b"\n a\r\nb\x00c\xff\t ") == "a  b c\ufffd"
    assert first_words("ä".encode() * 1000) == "ä" * MAX_TEXT_CHARACTERS
    assert first_words(b"") == ""
