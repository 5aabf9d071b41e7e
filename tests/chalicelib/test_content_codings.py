"""Compressed responses are inflated, up to a limit."""

import gzip
import zlib

import pytest

from chalicelib.content_codings import codings_of, decode
from chalicelib.problems import ImageTooLarge, ImageUnreachable

BODY = bytes(range(256)) * 40


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("", BODY),
        ("identity", BODY),
        ("utf-8", BODY),
        ("binary, none", BODY),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY))),
    ],
)
def test_codings(header: str, body: bytes) -> None:
    assert decode(body, codings_of(header), len(BODY)) == BODY


@pytest.mark.parametrize(
    ("header", "name"), [("br", "br"), ("gzip, zstd", "zstd"), ("compress", "compress")]
)
def test_an_unsupported_coding_is_named(header: str, name: str) -> None:
    with pytest.raises(ImageUnreachable, match=rf"compressed the response with {name},"):
        codings_of(header)


def test_many_codings_are_refused() -> None:
    with pytest.raises(ImageUnreachable, match="more than twice"):
        codings_of("gzip, gzip, gzip")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "body", [b"", b"\x1f", b"\xff\xd8\xff\xe0", gzip.compress(BODY, mtime=0)[:50]]
)
def test_invalid_bodies(coding: str, body: bytes) -> None:
    with pytest.raises(ImageUnreachable, match=f"not valid {coding}"):
        decode(body, [coding], 100_000)


@pytest.mark.parametrize("codings", [["gzip"], ["gzip", "gzip"]])
def test_a_bomb_is_cut(codings: list[str]) -> None:
    body = bytes(50_000_000)
    for _ in codings:
        body = gzip.compress(body, mtime=0)
    with pytest.raises(ImageTooLarge):
        decode(body, codings, 1_000_000)
