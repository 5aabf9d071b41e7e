"""The client of the endpoint, against HTTP servers that imitate SageMaker's failures."""

import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from chalicelib.endpoint import Endpoint
from chalicelib.problems import (
    EndpointBusy,
    EndpointFailed,
    EndpointTimeout,
    EndpointUnavailable,
    ImageTooLarge,
    NotAnImage,
    Problem,
)
from chalicelib.settings import Settings
from tests.servers import HOST, Handle, answer, free_port, web_server

SECRET = "Traceback at /opt/ml/code/inference.py on 10.0.0.7"
GOOD: dict[str, Any] = {
    "labels": ["Red_setter", "Green_hound"],
    "display_names": ["Red setter", "Green hound"],
    "logits": [1.5, -0.5],
    "dog_probability": 0.75,
    "model": {"name": "tiny", "version": "1", "temperature": 2, "dog_threshold": 0.25},
    "image": {"format": "PNG", "width": 64, "height": 48},
}


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def ask(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`ask(handle)` classifies an image with an endpoint that responds with `handle`."""

    def ask(handle: Handle, **changes: Any) -> Any:
        with web_server(handle) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
            endpoint = Endpoint(dataclasses.replace(settings, **changes))
            return endpoint.classify(b"\xff\xd8\xff", "image/jpeg")

    return ask


def good(**changes: Any) -> Handle:
    return answer(200, json.dumps({**GOOD, **changes}).encode())


def refusal(status: int, code: str, **members: Any) -> Handle:
    """An error as AWS shapes it."""
    body = json.dumps({"Message": SECRET, **members}).encode()
    return answer(status, body, {"x-amzn-ErrorType": code})


def model_error(status: int, message: str = SECRET) -> Handle:
    return refusal(424, "ModelError", OriginalStatusCode=status, OriginalMessage=message)


def test_scores(ask: Any) -> None:
    scores = ask(good())
    assert scores.logits == (1.5, -0.5)
    assert scores.dog_probability == 0.75
    assert scores.model.breeds == ("Red setter", "Green hound")
    assert (scores.model.temperature, scores.model.dog_threshold) == (2.0, 0.25)
    assert (scores.image_format, scores.image_width, scores.image_height) == ("PNG", 64, 48)


def test_a_model_without_display_names_shows_its_labels(ask: Any) -> None:
    assert ask(good(display_names=None)).model.breeds == ("Red_setter", "Green_hound")


def test_the_request(ask: Any) -> None:
    requests: list[tuple[str, str | None, bytes]] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        requests.append((request.path, request.headers["Content-Type"], body))
        request.headers.replace_header("Content-Length", "0")
        good()(request)

    ask(handle)
    assert requests == [("/endpoints/whatbreed-local/invocations", "image/jpeg", b"\xff\xd8\xff")]


@pytest.mark.parametrize(
    ("handle", "problem"),
    [
        (refusal(400, "ThrottlingException"), EndpointBusy),
        (refusal(400, "ValidationError"), EndpointUnavailable),
        (refusal(403, "AccessDeniedException"), EndpointUnavailable),
        (refusal(403, "ExpiredTokenException"), EndpointUnavailable),
        (refusal(429, "ModelNotReadyException"), EndpointUnavailable),
        (refusal(503, "ServiceUnavailable"), EndpointUnavailable),
        (refusal(500, "InternalFailure"), EndpointFailed),
        (refusal(530, "InternalDependencyException"), EndpointFailed),
        (answer(500, b"<html>no AWS at all</html>"), EndpointFailed),
        (model_error(413), ImageTooLarge),
        (model_error(415), NotAnImage),
        (model_error(422), NotAnImage),
        (model_error(503), EndpointBusy),
        (model_error(429), EndpointBusy),
        (model_error(0), EndpointUnavailable),
        (refusal(413, "413"), ImageTooLarge),
        (model_error(400), EndpointFailed),
        (model_error(500), EndpointFailed),
        (answer(200, b""), EndpointFailed),
        (answer(200, b"no json"), EndpointFailed),
        (answer(200, b"[]"), EndpointFailed),
        (answer(200, b"{}", {"Content-Length": "1000"}), EndpointFailed),
    ],
)
def test_failures(ask: Any, handle: Handle, problem: type[Problem]) -> None:
    with pytest.raises(Problem) as caught:
        ask(handle)
    assert type(caught.value) is problem
    assert "Traceback" not in caught.value.detail
    assert caught.value.cause
    assert "Traceback" not in caught.value.cause


@pytest.mark.parametrize("status", [413, 422])
@pytest.mark.parametrize(
    "reason",
    [
        "The JPEG has more than 100 scans.",
        "The image has 48.8 megapixels; the limit is 40.",
        "The WebP is damaged.",
        "Decoding the PNG takes more than 250 MB or 2 s.",
    ],
)
def test_the_containers_reason_is_passed_on(ask: Any, status: int, reason: str) -> None:
    problem = {413: ImageTooLarge, 422: NotAnImage}[status]
    with pytest.raises(problem) as caught:
        ask(model_error(status, json.dumps({"error": reason})))
    assert caught.value.detail == reason
    assert reason not in caught.value.cause


@pytest.mark.parametrize("status", [413, 415, 422, 500, 503])
@pytest.mark.parametrize(
    "message",
    [
        "",
        "The JPEG has more than 100 scans.",
        '"The JPEG has more than 100 scans."',
        "[" * 100_000,
        '{"error": ["The JPEG is damaged."]}',
        '{"error": "The JPEG is damaged.", "trace": "Traceback"}',
        '{"error": "Traceback: The JPEG is damaged."}',
        '{"error": "The imagery of Traceback"}',
        json.dumps({"error": "The JPEG is damaged.\nTraceback"}),
        json.dumps({"error": "The JPEG is damaged: \u202e."}),
        json.dumps({"error": "The JPEG " + "x" * 200}),
    ],
)
def test_other_texts_of_the_container_are_not(ask: Any, status: int, message: str) -> None:
    with pytest.raises(Problem) as caught:
        ask(model_error(status, message))
    assert caught.value.detail in {
        "The image is too large or too costly to decode.",
        "The image is damaged and cannot be decoded.",
        "The model failed to process this image.",
        "The model has too many requests. Retry soon.",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": [1.0]},
        {"logits": [1.0, float("nan")]},
        {"logits": [1.0, float("inf")]},
        {"logits": "12"[:1]},
        {"logits": None},
        {"labels": ["Red_setter"]},
        {"labels": [], "display_names": [], "logits": []},
        {"dog_probability": 1.5},
        {"dog_probability": None},
        {"model": {}},
        {"model": {**GOOD["model"], "temperature": 0}},
        {"image": None},
        {"focus": {"x": 0, "y": 0, "width": 2, "height": 1}},
        {"focus": {"x": 0, "y": 0}},
        {"confused_with": ["Mop"]},
        {"map": {"x": 0, "y": 0, "width": 1, "height": 1}},
        {"map": {"x": 0, "y": 0, "width": 1, "height": 1, "values": []}},
        {"map": {"x": 0, "y": 0, "width": 1, "height": 1, "values": [[0, 1], [0]]}},
        {"map": {"x": 0, "y": 0, "width": 1, "height": 1, "values": [[2]]}},
    ],
)
def test_invalid_responses(ask: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(EndpointFailed, match="invalid response"):
        ask(good(**changes))


def test_where_the_model_looked(ask: Any) -> None:
    box = {"x": 0.25, "y": 0.0, "width": 0.5, "height": 1.0}
    scores = ask(good(focus=box, confused_with=["Green_hound"], map={**box, "values": [[0, 1]]}))
    assert scores.focus == box
    assert scores.confused_with == ("Green hound",)
    assert scores.map == {**box, "values": [[0.0, 1.0]]}


def test_the_map_is_requested_from_the_endpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        accepted.append(request.headers["Accept"])
        good()(request)

    with web_server(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        endpoint = Endpoint(settings)
        for with_map in (False, True):
            endpoint.classify(b"\xff\xd8\xff", "image/jpeg", with_map)
    assert accepted == ["application/json", "application/json; map=true"]


def test_an_endpoint_that_hangs(ask: Any) -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        time.sleep(1)

    start = time.monotonic()
    with pytest.raises(EndpointTimeout):
        ask(handle, endpoint_read_timeout_s=0.2)
    assert time.monotonic() - start < 2


def test_an_endpoint_that_stops_in_the_middle(ask: Any) -> None:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"{")
        request.wfile.flush()
        time.sleep(1)

    with pytest.raises(EndpointTimeout):
        ask(handle, endpoint_read_timeout_s=0.2)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_an_endpoint_that_drips_ends_at_the_deadline(ask: Any, head: bytes) -> None:
    """botocore's own timeouts restart with every byte."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)
        for _ in range(40):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(0.1)

    start = time.monotonic()
    with pytest.raises(EndpointTimeout):
        ask(handle, endpoint_timeout_s=0.5)
    assert time.monotonic() - start < 3


def test_an_endpoint_that_hangs_up(ask: Any) -> None:
    with pytest.raises(EndpointUnavailable):
        ask(lambda request: request.connection.shutdown(socket.SHUT_RDWR))


def test_no_server_at_the_endpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://{HOST}:{free_port()}")
    with pytest.raises(EndpointUnavailable):
        Endpoint(settings).describe()


def test_a_profile_that_does_not_exist(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(EndpointUnavailable):
        Endpoint(settings).describe()


@pytest.mark.parametrize(
    ("handle", "message"),
    [(refusal(400, "ValidationError"), SECRET), (answer(200, b"", {"Content-Length": "9"}), "9")],
)
def test_a_message_goes_to_explain_and_not_into_the_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, handle: Handle, message: str
) -> None:
    explained: list[tuple[Problem, Exception]] = []
    with web_server(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        endpoint = Endpoint(settings)
        endpoint.explain = lambda problem, error: explained.append((problem, error))
        with pytest.raises(Problem) as raised:
            endpoint.describe()
    [(problem, error)] = explained
    assert problem is raised.value
    assert message in str(error)
    assert message not in problem.detail + problem.cause


def test_nothing_is_explained_about_an_image(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(model_error(422)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", address)
        endpoint = Endpoint(settings)
        endpoint.explain = lambda problem, error: pytest.fail(str(error))
        with pytest.raises(NotAnImage):
            endpoint.classify(b"\xff\xd8\xff", "image/jpeg")


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_an_environment_without_credentials_or_region(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(EndpointUnavailable):
        Endpoint(settings).describe()


@contextmanager
def failing_once(handle: Handle) -> Iterator[tuple[Handle, list[str]]]:
    requests: list[str] = []

    def first_fail(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.path)
        (handle if len(requests) == 1 else good())(request)

    yield first_fail, requests


@pytest.mark.parametrize("handle", [refusal(503, "ServiceUnavailable"), refusal(500, "Internal")])
def test_a_temporary_failure_is_retried(ask: Any, handle: Handle) -> None:
    with failing_once(handle) as (first_fail, requests):
        assert ask(first_fail, endpoint_attempts=2).dog_probability == 0.75
    assert len(requests) == 2


def hang(request: BaseHTTPRequestHandler) -> None:
    time.sleep(0.6)


@pytest.mark.parametrize("handle", [hang, refusal(504, "GatewayTimeout")])
def test_a_timeout_is_not_retried(ask: Any, handle: Handle) -> None:
    """The second attempt would give the same image to a second worker."""
    with failing_once(handle) as (first_fail, requests), pytest.raises(EndpointTimeout):
        ask(first_fail, endpoint_attempts=3, endpoint_read_timeout_s=0.2)
    assert len(requests) == 1


def test_a_lost_connection_is_retried(ask: Any) -> None:
    def hang_up(request: BaseHTTPRequestHandler) -> None:
        request.connection.shutdown(socket.SHUT_RDWR)

    with failing_once(hang_up) as (first_fail, requests):
        assert ask(first_fail, endpoint_attempts=2).dog_probability == 0.75
    assert len(requests) == 2


def test_a_failure_of_the_model_is_not_retried(ask: Any) -> None:
    with failing_once(model_error(500)) as (first_fail, requests), pytest.raises(EndpointFailed):
        ask(first_fail, endpoint_attempts=2)
    assert len(requests) == 1
