"""No text of a client, a host or a container reaches the log, however a request fails."""

import dataclasses
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Request, Response

from chalicelib.causes import MAX_CHARACTERS
from chalicelib.endpoint import Endpoint
from chalicelib.image_fetcher import ImageFetcher
from chalicelib.middleware import Middleware
from chalicelib.settings import Settings
from tests.chalicelib.test_endpoint import GOOD, aws_environment, refusal
from tests.chalicelib.test_image_fetcher import certificate, raw_server, resolves_to, tls_server
from tests.servers import HOST, Handle, answer, web_server

__all__ = ["aws_environment", "certificate"]

MARKER = "xq7secret"
LONG = MARKER.encode() * 8_000
Logged = Callable[[Callable[[], object]], dict[str, Any]]


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Logged:
    """`logged(act)` returns the log line of a request that does `act`, and checks the whole log."""
    caplog.set_level(logging.INFO)

    def logged(act: Callable[[], object]) -> dict[str, Any]:
        def get_response(_: Request) -> Response:
            return Response(str(act()))

        request = Request(
            {
                "multiValueQueryStringParameters": {"url": [MARKER]},
                "headers": {"x": MARKER},
                "pathParameters": {"x": MARKER},
                "requestContext": {"httpMethod": "GET", "resourcePath": "/predict"},
                "body": MARKER,
                "stageVariables": None,
            }
        )
        assert Middleware(None)(request, get_response).status_code >= 400
        output = capsys.readouterr()
        [line] = output.out.splitlines()
        for text in (line, output.err, caplog.text):
            assert MARKER not in text.lower()
        record: dict[str, Any] = json.loads(line)
        assert len(record["cause"]) <= MAX_CHARACTERS
        assert record["cause"].isascii()
        return record

    return logged


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 404 " + MARKER.encode() + b"\r\n\r\n",
        b"HTTP/1.1 " + MARKER.encode() + b" OK\r\n\r\n",
        b"HTTP/" + MARKER.encode() + b" 200 OK\r\n\r\n",
        MARKER.encode() + b"\r\n\r\n",
        LONG + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + LONG + b": x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + LONG + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + (b"X: " + MARKER.encode() + b"\r\n") * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + MARKER.encode()[:4],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + MARKER.encode() + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + LONG + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, " + MARKER.encode() + b"\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n\r\n<html>" + MARKER.encode(),
        b"HTTP/1.1 302 Found\r\nLocation: http://" + MARKER.encode() + b"\x7f/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://" + MARKER.encode() + b".invalid/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: " + MARKER.encode() + b"://x/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/" + MARKER.encode() + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[" + MARKER.encode() + b"]/\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:" + MARKER.encode() + b"/\r\n\r\n",
        b"",
    ],
)
def test_what_a_host_sends(settings: Settings, logged: Logged, reply: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(reply)

    with raw_server(talk) as url:
        logged(lambda: ImageFetcher(settings).fetch(f"{url}?token={MARKER}#{MARKER}"))


@pytest.mark.parametrize(
    "url",
    [
        MARKER,
        f"{MARKER}://dogs.example/",
        f"http://{MARKER}.invalid/",
        f"http://{MARKER}\ud800.example/",
        f"http://{MARKER}@dogs.example/",
        f"http://dogs.example:{MARKER}/",
        f"http://{HOST}:1/{MARKER}",  # nothing listens there
        f"http://[{MARKER}]/",
        f"http://dogs.example/{MARKER}\\",
        "http://dogs.example/" + MARKER * 1000,
    ],
)
def test_urls(settings: Settings, logged: Logged, url: str) -> None:
    logged(lambda: ImageFetcher(settings).fetch(url))


@contextmanager
def failing_handshakes(alert: bytes) -> Iterator[int]:
    """A server that answers a TLS handshake with `alert`."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(alert)

    with raw_server(talk) as url:
        yield int(url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize(
    ("alert", "code"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x70", "UNRECOGNIZED_NAME"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "HANDSHAKE_FAILURE"),
        (MARKER.encode() * 50, "WRONG_VERSION_NUMBER"),
    ],
)
def test_tls_alerts(settings: Settings, logged: Logged, alert: bytes, code: str) -> None:
    with failing_handshakes(alert) as port:
        fetcher = ImageFetcher(settings, resolves_to(HOST))
        cause = logged(lambda: fetcher.fetch(f"https://{MARKER}.example:{port}/"))["cause"]
    assert cause.startswith("SSLError ")
    assert code in cause


@pytest.mark.parametrize(("is_trusted", "code"), [(False, 18), (True, 62)])
def test_certificates(
    settings: Settings, logged: Logged, certificate: Path, is_trusted: bool, code: int
) -> None:
    """OpenSSL's messages contain the host name. 18 is self-signed, 62 is another name."""
    context = ssl.create_default_context(
        cafile=str(certificate.with_suffix(".crt")) if is_trusted else None
    )
    fetcher = ImageFetcher(settings, resolves_to(HOST), tls_context=lambda: context)
    with tls_server(certificate) as port:
        cause = logged(lambda: fetcher.fetch(f"https://{MARKER}.example:{port}/"))["cause"]
    assert cause == f"SSLCertVerificationError CERTIFICATE_VERIFY_FAILED {code}"


def test_an_unexpected_error(logged: Logged) -> None:
    def fail() -> None:
        try:
            raise KeyError(MARKER)
        except KeyError as error:
            raise ValueError(LONG) from error

    cause = logged(fail)["cause"]
    assert cause.startswith("ValueError < KeyError at chalicelib/test_log_content.py:")


MARKED = {"Message": MARKER, "OriginalMessage": MARKER, "LogStreamArn": MARKER}


@pytest.mark.parametrize(
    ("handle", "cause"),
    [
        (refusal(400, "ThrottlingException", **MARKED), "ThrottlingException, status 400"),
        (refusal(400, "ValidationError", **MARKED), "ValidationError, status 400"),
        (refusal(403, "AccessDeniedException", **MARKED), "AccessDeniedException, status 403"),
        (refusal(500, "InternalFailure", **MARKED), "InternalFailure, status 500"),
        *(
            (
                refusal(424, "ModelError", OriginalStatusCode=status, **MARKED),
                f"ModelError, status 424, container status {status}",
            )
            for status in (0, 400, 413, 415, 422, 500, 503)
        ),
        (answer(500, LONG), "500, status 500"),
        (answer(200, LONG), "JSONDecodeError"),
        (answer(200, json.dumps({MARKER: MARKER}).encode()), "KeyError"),
        (answer(200, json.dumps([MARKER]).encode()), "TypeError"),
        (answer(200, json.dumps({**GOOD, "logits": [MARKER, 1]}).encode()), "ValueError"),
        (answer(200, json.dumps({**GOOD, "image": {MARKER: 1}}).encode()), "KeyError"),
        (answer(200, b"{", {"Content-Length": "9", "X": MARKER}), "ResponseStreamingError"),
        (lambda request: request.wfile.write(LONG), "ConnectionClosedError < ProtocolError"),
        (lambda request: request.connection.shutdown(2), "ConnectionClosedError < ProtocolError"),
        (lambda request: time.sleep(0.5), "ReadTimeoutError < ReadTimeoutError < TimeoutError"),
    ],
)
def test_what_the_endpoint_sends(
    settings: Settings, logged: Logged, monkeypatch: pytest.MonkeyPatch, handle: Handle, cause: str
) -> None:
    with web_server(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"{address}/{MARKER}")
        endpoint = Endpoint(dataclasses.replace(settings, endpoint_read_timeout_s=0.2))
        record = logged(lambda: endpoint.classify(MARKER.encode(), "image/jpeg"))
    assert record["cause"].startswith(cause)


def test_an_endpoint_that_does_not_exist(
    settings: Settings, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://{MARKER}.invalid")
    cause = logged(Endpoint(settings).describe)["cause"]
    assert cause.startswith("EndpointConnectionError < NameResolutionError < gaierror")
