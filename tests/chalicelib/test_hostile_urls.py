"""Nothing private is ever reached: every vector of hostile_urls.txt, asked for and redirected to.

The test's internet is one public host, 93.184.215.14, behind which a real server on loopback
stands; the one thing replaced is `socket.create_connection`, which the fetcher opens everything
with, and which here writes down whatever it is asked to open.
"""

import dataclasses
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chalicelib import addresses
from chalicelib.addresses import Address
from chalicelib.deadline import Deadline
from chalicelib.images import Fetcher
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
    "private-then-public.test": ["192.168.1.1", PUBLIC],
    "public-then-mapped-loopback.test": [PUBLIC, "::ffff:127.0.0.1"],
}
VECTORS = [
    line.split(maxsplit=1)
    for line in (Path(__file__).with_name("hostile_urls.txt")).read_text().splitlines()
    if line and not line.startswith("#")
]

Open = Callable[..., socket.socket]
real_create_connection: Open = socket.create_connection


def resolve(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
    """The names of the test, and everything else by this machine's own resolver."""
    known = NAMES.get(host.rstrip(".").lower())
    if known is None:
        return addresses.resolve(host, port, deadline)
    return [ipaddress.ip_address(text) for text in known]


@pytest.fixture
def strict(settings: Settings) -> Settings:
    """Settings of a deployed stage."""
    return dataclasses.replace(settings, fetch_allow_loopback=False)


@contextmanager
def internet(monkeypatch: pytest.MonkeyPatch, handle: Handle) -> Iterator[list[str]]:
    """The addresses that are opened meanwhile; the public host answers with `handle`."""
    opened: list[str] = []
    with web_server(handle) as address:
        port = int(address.rpartition(":")[2])

        def create_connection(target: tuple[str, int], timeout: Any = None) -> socket.socket:
            opened.append(target[0])
            if target[0] != PUBLIC:
                raise ConnectionRefusedError
            return real_create_connection((HOST, port), timeout)

        monkeypatch.setattr(socket, "create_connection", create_connection)
        yield opened


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) >= 80
    assert len({url for _, url in VECTORS}) == len(VECTORS)


def test_the_public_host_is_reached(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the tests below would see a connection if there were one."""
    with internet(monkeypatch, answer(200, b"dog")) as opened:
        assert Fetcher(strict, resolve).fetch("http://public.test/") == b"dog"
    assert opened == [PUBLIC]


@pytest.mark.parametrize(("kind", "url"), VECTORS)
def test_asked_for(strict: Settings, monkeypatch: pytest.MonkeyPatch, kind: str, url: str) -> None:
    with internet(monkeypatch, answer()) as opened, pytest.raises(Problem) as caught:
        Fetcher(strict, resolve).fetch(url)
    assert opened == []
    assert caught.value.type == kind
    check_nothing_is_told(caught.value)


@pytest.mark.parametrize(
    ("kind", "url", "status"),
    [
        (kind, url, (301, 302, 303, 307, 308)[number % 5])
        for number, (kind, url) in enumerate(VECTORS)
    ],
)
def test_redirected_to(
    strict: Settings, monkeypatch: pytest.MonkeyPatch, kind: str, url: str, status: int
) -> None:
    location = url.encode().decode("latin-1")  # as the bytes of UTF-8 come out of a header
    handle = answer(status, b"", {"Location": location})
    with internet(monkeypatch, handle) as opened, pytest.raises(Problem) as caught:
        Fetcher(strict, resolve).fetch("http://public.test/start")
    assert set(opened) <= {PUBLIC}
    assert caught.value.type in (kind, "image-unreachable")
    check_nothing_is_told(caught.value)


def check_nothing_is_told(problem: Problem) -> None:
    """The answer says that it is not allowed, never where the name leads."""
    for found in (PUBLIC, "127.", "169.254", "10.0", "192.168", "100.64", "::"):
        assert found not in problem.detail


def test_rebinding(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked and private ever after: the connection goes to
    the address that was checked, and the name is asked for once a request."""
    asked: list[str] = []

    def rebind(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        asked.append(host)
        return [ipaddress.ip_address(PUBLIC if len(asked) == 1 else "127.0.0.1")]

    with internet(monkeypatch, answer(200, b"dog")) as opened:
        assert Fetcher(strict, rebind).fetch("http://rebind.test/") == b"dog"
        assert (opened, asked) == ([PUBLIC], ["rebind.test"])
        with pytest.raises(UrlNotAllowed):
            Fetcher(strict, rebind).fetch("http://rebind.test/")
    assert opened == [PUBLIC]


def test_rebinding_by_redirect(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second hop to the same name is resolved and checked anew."""
    asked: list[str] = []

    def rebind(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        asked.append(host)
        return [ipaddress.ip_address(PUBLIC if len(asked) == 1 else "169.254.169.254")]

    again = answer(302, b"", {"Location": "http://rebind.test/again"})
    with internet(monkeypatch, again) as opened, pytest.raises(UrlNotAllowed):
        Fetcher(strict, rebind).fetch("http://rebind.test/")
    assert opened == [PUBLIC]


def test_a_loop_of_redirects_ends(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = answer(302, b"", {"Location": "/"})
    with internet(monkeypatch, loop) as opened, pytest.raises(Problem, match="too often"):
        Fetcher(strict, resolve).fetch("http://public.test/")
    assert len(opened) == strict.fetch_max_redirects + 1


def test_http_to_https_and_back(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of scheme is a new connection, to a port of its own: TLS never falls away."""
    to_https = answer(302, b"", {"Location": "https://public.test/"})
    with internet(monkeypatch, to_https) as opened, pytest.raises(Problem) as caught:
        Fetcher(strict, resolve).fetch("http://public.test/")
    assert opened == [PUBLIC, PUBLIC]  # the second speaks TLS, which the test's host does not
    assert caught.value.type == "image-unreachable"
