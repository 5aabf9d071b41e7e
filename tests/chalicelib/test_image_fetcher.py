"""The fetcher, against servers on loopback."""

import dataclasses
import gzip
import ipaddress
import socket
import ssl
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from chalicelib.addresses import Address
from chalicelib.deadline import Deadline
from chalicelib.image_fetcher import USER_AGENT, VERSION, ImageFetcher, user_agent
from chalicelib.problems import (
    ImageTooLarge,
    ImageUnreachable,
    InvalidRequest,
    NotAnImage,
    Problem,
    UrlNotAllowed,
)
from chalicelib.settings import Settings
from tests.servers import HOST, ROOT, answer, free_port, web_server


def resolves_to(*texts: str) -> Callable[[str, int, Deadline], Sequence[Address]]:
    return lambda host, port, deadline: [ipaddress.ip_address(text) for text in texts]


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads a request and passes the connection to `talk`."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    talk(connection)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://{HOST}:{listener.getsockname()[1]}/dog.jpg"
        listener.close()
        thread.join(5)


def test_the_bytes_arrive_as_they_are(settings: Settings) -> None:
    body = bytes(range(256)) * 1000
    with web_server(answer(200, body)) as address:
        assert ImageFetcher(settings).fetch(f"{address}/dog.jpg?size=1") == body


def test_the_request(settings: Settings) -> None:
    requests: list[tuple[str, dict[str, str]]] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        requests.append((request.path, dict(request.headers)))
        answer()(request)

    with web_server(handle) as address:
        port = address.rpartition(":")[2]
        ImageFetcher(settings, resolves_to(HOST)).fetch(
            f"http://dogs.example:{port}/a%20b?q=ä#fragment"
        )
    [(path, headers)] = requests
    assert path == "/a%20b?q=%C3%A4"
    assert headers["Host"] == f"dogs.example:{port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Accept"].startswith("image/jpeg, ")
    assert "*/*" in headers["Accept"]
    assert headers["User-Agent"] == f"WhatBreed/{VERSION} ({USER_AGENT})"


def test_the_user_agent_has_version_and_contact(settings: Settings) -> None:
    """As Wikimedia requires. The version is that of the release."""
    agent = user_agent("dogs@example.com")
    assert agent == f"WhatBreed/{VERSION} (dogs@example.com; {USER_AGENT})"
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == VERSION


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 203 Non-Authoritative Information\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: utf-8\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
    ],
)
def test_heads_that_precede_an_image(settings: Settings, head: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head + b"Content-Length: 3\r\n\r\ndog")

    with raw_server(talk) as url:
        assert ImageFetcher(settings).fetch(url) == b"dog"


def test_endless_interim_responses_are_cut(settings: Settings) -> None:
    def talk(connection: socket.socket) -> None:
        for _ in range(100_000):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    with raw_server(talk) as url, pytest.raises(ImageUnreachable, match="invalid HTTP response"):
        ImageFetcher(settings).fetch(url)


def test_a_compressed_image(settings: Settings) -> None:
    headers = {"Content-Encoding": "gzip"}
    with web_server(answer(200, gzip.compress(b"dog" * 1000), headers)) as address:
        assert ImageFetcher(settings).fetch(address) == b"dog" * 1000
    bomb = gzip.compress(bytes(settings.max_image_bytes + 1))
    with web_server(answer(200, bomb, headers)) as address, pytest.raises(ImageTooLarge):
        ImageFetcher(settings).fetch(address)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<title>x</title>",
        b"<!-- x --><HTML lang='en'>",
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">',
    ],
)
def test_a_web_page_is_named(settings: Settings, body: bytes) -> None:
    with web_server(answer(200, body)) as address, pytest.raises(NotAnImage, match="web page"):
        ImageFetcher(settings).fetch(address)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/hünd".encode(), "/h%C3%BCnd"),
        ("/hünd".encode("latin-1"), "/h%FCnd"),
        (b"/my dog", "/my%20dog"),
        (b"?size=1", "/start?size=1"),
        (b"a\\b", "/a/b"),
    ],
)
def test_locations(settings: Settings, location: bytes, path: str) -> None:
    paths: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        headers = {"Location": location.decode("latin-1")}
        (answer(200, b"dog") if len(paths) > 1 else answer(302, b"", headers))(request)

    with web_server(handle) as address:
        assert ImageFetcher(settings).fetch(f"{address}/start") == b"dog"
    assert paths[1:] == [path]


def test_chunked_bodies_arrive(settings: Settings) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")

    with raw_server(talk) as url:
        assert ImageFetcher(settings).fetch(url) == b"abcdefg"


def test_redirects_are_followed(settings: Settings) -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        hop = int(request.path.strip("/"))
        headers = {"Location": f"/{hop - 1}"}
        (answer(200, b"here") if hop == 0 else answer(302, b"", headers))(request)

    with web_server(handle) as address:
        fetcher = ImageFetcher(settings)
        assert fetcher.fetch(f"{address}/{settings.fetch_max_redirects}") == b"here"
        with pytest.raises(ImageUnreachable, match="redirects more than 10 times"):
            fetcher.fetch(f"{address}/{settings.fetch_max_redirects + 1}")


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("http://169.254.169.254/latest/meta-data/", UrlNotAllowed),
        ("http://10.0.0.1/", UrlNotAllowed),
        ("http://[::ffff:169.254.169.254]/", UrlNotAllowed),
        ("http://0x7f.1/", UrlNotAllowed),
        ("file:///etc/passwd", UrlNotAllowed),
        ("http://user@127.0.0.1/", UrlNotAllowed),
        ("//10.0.0.1/", UrlNotAllowed),
        ("\\\\10.0.0.1/", UrlNotAllowed),
        ("http:///10.0.0.1", UrlNotAllowed),
        ("http://", ImageUnreachable),
        ("http://[::1", ImageUnreachable),
    ],
)
def test_every_hop_is_checked(settings: Settings, location: str, problem: type[Problem]) -> None:
    with web_server(answer(302, b"", {"Location": location})) as address, pytest.raises(problem):
        ImageFetcher(settings).fetch(address)


@pytest.mark.parametrize(
    "texts", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"], ["fd00:ec2::254"]]
)
def test_one_private_address_is_enough_to_refuse(settings: Settings, texts: list[str]) -> None:
    with pytest.raises(UrlNotAllowed) as caught:
        ImageFetcher(settings, resolves_to(*texts)).fetch("http://dogs.example/")
    assert not any(address in caught.value.detail for address in texts)


def test_loopback_is_refused_by_default(settings: Settings) -> None:
    requests: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.path)
        answer()(request)

    with web_server(handle) as address:
        port = int(address.rpartition(":")[2])
        strict = dataclasses.replace(settings, fetch_allow_loopback=False, fetch_ports=(port,))
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::ffff:127.0.0.1]"):
            with pytest.raises(UrlNotAllowed):
                ImageFetcher(strict).fetch(f"http://{host}:{port}/")
    assert requests == []


def test_a_host_is_resolved_once(settings: Settings) -> None:
    answers = iter([["192.0.2.1"], ["127.0.0.1"]])
    lookups: list[str] = []

    def resolve(host: str, port: int, deadline: Deadline) -> Sequence[Address]:
        lookups.append(host)
        return [ipaddress.ip_address(text) for text in next(answers)]

    strict = dataclasses.replace(settings, fetch_allow_loopback=False)
    with pytest.raises(UrlNotAllowed):
        ImageFetcher(strict, resolve).fetch("http://rebind.example/")
    assert lookups == ["rebind.example"]


def test_other_ports_are_refused(settings: Settings) -> None:
    with pytest.raises(UrlNotAllowed, match=r"Port 22 is not allowed\. Allowed: 80, 443"):
        ImageFetcher(settings, resolves_to("8.8.8.8")).fetch("http://dogs.example:22/")


@pytest.mark.parametrize(
    ("resolved", "tried"),
    [
        ([f"8.8.8.{last}" for last in range(1, 61)], [f"8.8.8.{last}" for last in range(1, 5)]),
        (
            ["2600::1", "2600::2", "2600::3", "2600::4", "2600::5", "8.8.8.8", "8.8.4.4"],
            ["2600::1", "8.8.8.8", "2600::2", "8.8.4.4"],
        ),
        (["8.8.8.8", "2600::1"], ["8.8.8.8", "2600::1"]),
    ],
)
def test_at_most_four_addresses_are_tried(
    settings: Settings, resolved: list[str], tried: list[str]
) -> None:
    opened: list[str] = []

    def refuse(target: tuple[str, int], timeout_s: float) -> socket.socket:
        opened.append(target[0])
        raise ConnectionRefusedError

    with pytest.raises(ImageUnreachable):
        ImageFetcher(settings, resolves_to(*resolved), refuse).fetch("http://dogs.example/")
    assert opened == tried


def test_an_unknown_host(settings: Settings) -> None:
    with pytest.raises(ImageUnreachable, match="does not exist"):
        ImageFetcher(settings).fetch("https://no-such-host.invalid/dog.jpg")


def test_a_host_that_refuses(settings: Settings) -> None:
    with pytest.raises(ImageUnreachable, match="refuses connections"):
        ImageFetcher(settings).fetch(f"http://{HOST}:{free_port()}/")


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_other_statuses_are_named(settings: Settings, status: int) -> None:
    with (
        web_server(answer(status)) as address,
        pytest.raises(ImageUnreachable, match=f"responded with status {status}"),
    ):
        ImageFetcher(settings).fetch(address)


def test_a_declared_size_is_enough_to_refuse(settings: Settings) -> None:
    small = dataclasses.replace(settings, max_image_bytes=1000)
    with web_server(answer(200, b"x" * 1001)) as address, pytest.raises(ImageTooLarge):
        ImageFetcher(small).fetch(address)
    with web_server(answer(200, b"x" * 1000)) as address:
        assert len(ImageFetcher(small).fetch(address)) == 1000


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_an_endless_body_is_cut(settings: Settings, head: bytes) -> None:
    sent = 0

    def talk(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        chunk = b"x" * 4096
        for _ in range(10_000):
            connection.sendall(b"1000\r\n" + chunk + b"\r\n" if head else chunk)
            sent += len(chunk)

    small = dataclasses.replace(settings, max_image_bytes=100_000)
    with raw_server(talk) as url, pytest.raises(ImageTooLarge):
        ImageFetcher(small).fetch(url)
    assert sent < 30_000_000


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nF000\r\n",
    ],
)
def test_a_drip_ends_at_the_deadline(settings: Settings, first: bytes) -> None:
    """A socket's own timeout restarts with every byte."""

    sent = 0

    def talk(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(first)
        for _ in range(50):
            time.sleep(0.1)
            connection.sendall(b"x")
            sent += 1

    impatient = dataclasses.replace(settings, fetch_timeout_s=0.3)
    with raw_server(talk) as url, pytest.raises(ImageUnreachable, match=r"within 0\.3 seconds"):
        ImageFetcher(impatient).fetch(url)
    assert sent < 30


def test_endless_headers_are_cut(settings: Settings) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"y" * 1000))

    with raw_server(talk) as url, pytest.raises(ImageUnreachable):
        ImageFetcher(settings).fetch(url)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
    ],
)
def test_invalid_responses(settings: Settings, reply: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(reply)

    with raw_server(talk) as url, pytest.raises(ImageUnreachable):
        ImageFetcher(settings).fetch(url)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", r"At least TLS 1\.2 is required"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "there is no common cipher"),
        (b"\x15\x03\x03\x00\x02\x02\x70", "has no website of this name"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not support https on this port"),
        (b"", "closed the TLS connection"),
    ],
)
def test_a_failed_handshake_is_explained(settings: Settings, reply: bytes, sentence: str) -> None:
    with (
        raw_server(lambda connection: connection.sendall(reply)) as url,
        pytest.raises(ImageUnreachable, match=sentence),
    ):
        ImageFetcher(settings).fetch(url.replace("http:", "https:"))


def test_a_connection_closed_without_a_response(settings: Settings) -> None:
    with (
        raw_server(lambda connection: None) as url,
        pytest.raises(ImageUnreachable, match="closed the connection without a response"),
    ):
        ImageFetcher(settings).fetch(url)


def test_a_host_that_does_not_answer(settings: Settings) -> None:
    def wait(target: tuple[str, int], timeout_s: float) -> socket.socket:
        raise TimeoutError

    with pytest.raises(ImageUnreachable, match="does not answer"):
        ImageFetcher(settings, resolves_to("8.8.8.8"), wait).fetch("http://dogs.example/")


def test_a_share_link_is_fetched_in_its_direct_form(settings: Settings) -> None:
    paths: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        paths.append(request.path)
        answer(200, b"dog")(request)

    with web_server(handle) as address:
        url = f"http://www.dropbox.com:{address.rpartition(':')[2]}/s/a/dog.jpg?dl=0"
        assert ImageFetcher(settings, resolves_to(HOST)).fetch(url) == b"dog"
    assert paths == ["/s/a/dog.jpg?raw=1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for dogs.example, with its key."""
    path = tmp_path_factory.mktemp("tls") / "dogs.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        + ["-subj", "/CN=dogs.example", "-addext", "subjectAltName=DNS:dogs.example"]
        + ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@contextmanager
def tls_server(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ndog")
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_an_untrusted_certificate_is_refused(settings: Settings, certificate: Path) -> None:
    with tls_server(certificate) as port, pytest.raises(ImageUnreachable, match="certificate"):
        ImageFetcher(settings, resolves_to(HOST)).fetch(f"https://dogs.example:{port}/")


def test_a_certificate_is_verified_against_the_host_name(
    settings: Settings, certificate: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
    fetcher = ImageFetcher(settings, resolves_to(HOST), tls_context=lambda: trusting)
    with tls_server(certificate) as port:
        assert fetcher.fetch(f"https://dogs.example:{port}/") == b"dog"
    with (
        tls_server(certificate) as port,
        pytest.raises(ImageUnreachable, match="another host name"),
    ):
        fetcher.fetch(f"https://cats.example:{port}/")


def test_a_handshake_that_never_comes_ends_at_the_deadline(settings: Settings) -> None:
    done = threading.Event()

    def wait(connection: socket.socket) -> None:
        done.wait(30)

    impatient = dataclasses.replace(settings, fetch_timeout_s=0.3)
    with raw_server(wait) as url:
        with pytest.raises(ImageUnreachable, match=r"within 0\.3 seconds"):
            ImageFetcher(impatient).fetch(url.replace("http:", "https:"))
        done.set()


def test_an_invalid_url(settings: Settings) -> None:
    with pytest.raises(InvalidRequest):
        ImageFetcher(settings).fetch("dog.jpg")


def test_a_deadline_of_the_caller(settings: Settings) -> None:
    with web_server(lambda request: time.sleep(0.6)) as address:
        with pytest.raises(TimeoutError):
            ImageFetcher(settings).fetch(address, before=Deadline(0.2))
        patient = dataclasses.replace(settings, fetch_timeout_s=0.2)
        with pytest.raises(ImageUnreachable):
            ImageFetcher(patient).fetch(address, before=Deadline(5))
