"""A URL that cannot be sent is refused, whatever part of it is odd, directly and by redirect."""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.addresses import Address
from chalicelib.connection import OpenSocket
from chalicelib.deadline import Deadline
from chalicelib.image_fetcher import ImageFetcher
from chalicelib.problems import ImageUnreachable, InvalidRequest, Problem, UrlNotAllowed
from chalicelib.settings import Settings
from chalicelib.urls import Target
from tests.nightly import often

EXAMPLES = often(300, nightly=5_000)
PARTS = [
    "{}",
    "{}://dogs.example/",
    "http://{}/",
    "http://dogs.{}.example/",
    "http://[{}]/",
    "http://[::1{}]/",
    "http://{}@dogs.example/",
    "http://user:{}@dogs.example/",
    "http://dogs.example:{}/",
    "http://dogs.example:80{}/",
    "http://dogs.example/{}",
    "http://dogs.example/a/{}/b;{}",
    "http://dogs.example/?{}",
    "http://dogs.example/?url={}&x=1",
    "http://dogs.example/#{}",
    "https://dogs.example/{}",
]
ODD = ["\ud800", "\udfff", "a\udc80b", "\ud83d\ud83d", "xn--\ud800"]
ANY_TEXT = st.text(
    st.characters(exclude_categories=[])
    | st.sampled_from("\ud800\udcff%\\@:[]#?.。ß\u0345\u200d\0\r")
)


def resolve(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
    return [ipaddress.ip_address("93.184.215.14")]


def refuse(target: tuple[str, int], timeout_s: float) -> socket.socket:
    raise ConnectionRefusedError


@contextmanager
def one_response(response: bytes) -> Iterator[OpenSocket]:
    """Yield a function that opens one connection, which sends `response`, and no other."""
    ours, theirs = socket.socketpair()
    connections = [ours]

    def open_socket(target: tuple[str, int], timeout_s: float) -> socket.socket:
        if not connections:
            raise ConnectionRefusedError
        return connections.pop()

    with ours, theirs:
        theirs.sendall(response)
        theirs.shutdown(socket.SHUT_WR)
        yield open_socket


FETCHER = ImageFetcher(Settings("any"), resolve, refuse)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("odd", ODD)
def test_a_surrogate_is_an_invalid_request(part: str, odd: str) -> None:
    with pytest.raises(InvalidRequest):
        FETCHER.fetch(part.format(odd, odd))


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(st.sampled_from(PARTS), ANY_TEXT)
@example("http://{}/", "xn--ü")
@example("http://{}/", "a" * 70)
@example("http://{}/", ".")
@example("http://[{}]/", "::1%25eth0")
def test_any_text_in_any_part(part: str, text: str) -> None:
    with pytest.raises(Problem) as caught:
        FETCHER.fetch(part.format(text, text))
    assert type(caught.value) in (InvalidRequest, UrlNotAllowed, ImageUnreachable)
    assert caught.value.detail.isprintable()
    assert caught.value.detail.isascii()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(
    st.sampled_from(PARTS),
    st.binary() | ANY_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_any_bytes_in_a_redirect(part: str, odd: bytes) -> None:
    """`http.client` decodes headers as Latin-1."""
    location = part.encode().replace(b"{}", odd.replace(b"\n", b"").replace(b"\r", b""))
    head = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    with one_response(head) as open_socket, pytest.raises(Problem) as caught:
        ImageFetcher(Settings("any"), resolve, open_socket).fetch("http://dogs.example/")
    assert type(caught.value) in (UrlNotAllowed, ImageUnreachable)


@pytest.mark.parametrize("part", PARTS)
def test_a_surrogate_in_a_redirect(part: str) -> None:
    with pytest.raises((InvalidRequest, UrlNotAllowed)):
        Target.parse("http://dogs.example/").redirect(part.format("\ud800", "\ud800"))
