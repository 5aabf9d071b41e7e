"""Chunked request bodies, read for `chalice local`."""

import io

import pytest

from chalicelib import chunked_bodies


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (b"3;name=value\r\na\r\n\r\n00\r\nTrailer: x\r\n\r\n", b"a\r\n"),
    ],
)
def test_a_body(sent: bytes, body: bytes) -> None:
    stream = io.BytesIO(sent + b"GET / HTTP/1.1\r\n")
    assert chunked_bodies.read(stream) == body
    assert stream.read() == b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"x\r\n\r\n",
        b"-1\r\na\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nab",
        b"3\r\nabc\r\n",
        b"0" * 2000 + b"\r\n\r\n",
        f"{chunked_bodies.MAX_BYTES + 1:x}\r\n".encode(),
    ],
)
def test_a_malformed_body(sent: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        chunked_bodies.read(io.BytesIO(sent))
