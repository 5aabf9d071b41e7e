"""No private address is ever contacted: each URL of hostile_urls.txt, directly and by redirect.

The only host of these tests is 93.184.215.14, which leads to a server on loopback. The fetcher gets
a function that opens sockets and records their addresses.
"""

import dataclasses
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from chalicelib import addresses
from chalicelib.addresses import Address
from chalicelib.connection import OpenSocket
from chalicelib.deadline import Deadline
from chalicelib.image_fetcher import ImageFetcher
from chalicelib.problems import Problem, UrlNotAllowed
from chalicelib.settings import Settings
from tests.servers import HOST, Handle, answer, web_server

PUBLIC = "93.184.215.14"
NAMES = {
    "public.test": [PUBLIC],
    "loopback.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "private.test": ["10.0.0.1"],
    "carrier-grade-nat.test": ["100.64.0.1"],
    "public-then-private.test": [PUBLIC, "192.168.1.1"],
    "metadata-by-dns64.test": ["64:ff9b::a9fe:a9fe"],
    "public-then-private-by-dns64.test": ["64:ff9b::5db8:d70e", "64:ff9b::a00:1"],
    "private-then-public.test": ["192.168.1.1", PUBLIC],
    "public-then-mapped-loopback.test": [PUBLIC, "::ffff:127.0.0.1"],
}
VECTORS = [
    line.split("  ", maxsplit=1)
    for line in (Path(__file__).with_name("hostile_urls.txt")).read_text().split("\n")
    if line and not line.startswith("#")
]


def resolve(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
    """Resolve the names above, and all others with the system's resolver."""
    texts = NAMES.get(host.rstrip(".").lower())
    if texts is None:
        return addresses.resolve(host, port, deadline)
    return [ipaddress.ip_address(text) for text in texts]


@pytest.fixture
def strict(settings: Settings) -> Settings:
    """Settings of a deployed stage."""
    return dataclasses.replace(settings, fetch_allow_loopback=False)


class Internet(NamedTuple):
    opened: list[str]
    """The addresses that were opened."""
    open_socket: OpenSocket


@contextmanager
def public_host(handle: Handle) -> Iterator[Internet]:
    """An internet of one host, which responds with `handle`."""
    opened: list[str] = []
    with web_server(handle) as address:
        port = int(address.rpartition(":")[2])

        def open_socket(target: tuple[str, int], timeout_s: float) -> socket.socket:
            opened.append(target[0])
            if target[0] != PUBLIC:
                raise ConnectionRefusedError
            return socket.create_connection((HOST, port), timeout_s)

        yield Internet(opened, open_socket)


def test_the_list() -> None:
    assert len(VECTORS) >= 150
    assert len({url for _, url in VECTORS}) == len(VECTORS)


def test_the_public_host_is_reached(strict: Settings) -> None:
    """The control: a connection would be recorded."""
    with public_host(answer(200, b"dog")) as internet:
        assert (
            ImageFetcher(strict, resolve, internet.open_socket).fetch("http://public.test/")
            == b"dog"
        )
    assert internet.opened == [PUBLIC]


@pytest.mark.parametrize(("kind", "url"), VECTORS)
def test_direct(strict: Settings, kind: str, url: str) -> None:
    with public_host(answer()) as internet, pytest.raises(Problem) as caught:
        ImageFetcher(strict, resolve, internet.open_socket).fetch(url)
    assert internet.opened == []
    assert caught.value.type == kind
    check_no_address(caught.value)


@pytest.mark.parametrize(
    ("kind", "url", "status"),
    [
        (kind, url, (301, 302, 303, 307, 308)[number % 5])
        for number, (kind, url) in enumerate(VECTORS)
    ],
)
def test_by_redirect(strict: Settings, kind: str, url: str, status: int) -> None:
    location = url.encode().decode("latin-1")  # as the bytes of UTF-8 come out of a header
    handle = answer(status, b"", {"Location": location})
    with public_host(handle) as internet, pytest.raises(Problem) as caught:
        ImageFetcher(strict, resolve, internet.open_socket).fetch("http://public.test/start")
    assert set(internet.opened) <= {PUBLIC}
    assert caught.value.type in (kind, "image-unreachable")
    check_no_address(caught.value)


def check_no_address(problem: Problem) -> None:
    """The response does not reveal the addresses of a host."""
    for text in (PUBLIC, "127.", "169.254", "10.0", "192.168", "100.64", "::"):
        assert text not in problem.detail


def test_rebinding(strict: Settings) -> None:
    """A name that is public at the first look-up and private afterwards: the connection goes to the
    address that was checked, and there is one look-up per request."""
    lookups: list[str] = []

    def rebind(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        lookups.append(host)
        return [ipaddress.ip_address(PUBLIC if len(lookups) == 1 else "127.0.0.1")]

    with public_host(answer(200, b"dog")) as internet:
        assert (
            ImageFetcher(strict, rebind, internet.open_socket).fetch("http://rebind.test/")
            == b"dog"
        )
        assert (internet.opened, lookups) == ([PUBLIC], ["rebind.test"])
        with pytest.raises(UrlNotAllowed):
            ImageFetcher(strict, rebind, internet.open_socket).fetch("http://rebind.test/")
    assert internet.opened == [PUBLIC]


def test_rebinding_by_redirect(strict: Settings) -> None:
    """The second hop to the same name is resolved and checked again."""
    lookups: list[str] = []

    def rebind(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        lookups.append(host)
        return [ipaddress.ip_address(PUBLIC if len(lookups) == 1 else "169.254.169.254")]

    again = answer(302, b"", {"Location": "http://rebind.test/again"})
    with public_host(again) as internet, pytest.raises(UrlNotAllowed):
        ImageFetcher(strict, rebind, internet.open_socket).fetch("http://rebind.test/")
    assert internet.opened == [PUBLIC]


def test_a_loop_of_redirects_ends(strict: Settings) -> None:
    loop = answer(302, b"", {"Location": "/"})
    with public_host(loop) as internet, pytest.raises(Problem, match="more than 10 times"):
        ImageFetcher(strict, resolve, internet.open_socket).fetch("http://public.test/")
    assert len(internet.opened) == strict.fetch_max_redirects + 1


def test_http_to_https_and_back(strict: Settings) -> None:
    """A change of scheme opens a new connection."""
    to_https = answer(302, b"", {"Location": "https://public.test/"})
    with public_host(to_https) as internet, pytest.raises(Problem) as caught:
        ImageFetcher(strict, resolve, internet.open_socket).fetch("http://public.test/")
    assert internet.opened == [
        PUBLIC,
        PUBLIC,
    ]  # the second fails, because the host does not support TLS
    assert caught.value.type == "image-unreachable"
