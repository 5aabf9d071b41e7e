"""Problem documents, headers and log lines of responses."""

import dataclasses
import json
import time
from typing import Any

import pytest
from chalice.app import CaseInsensitiveMapping, Request, Response

from chalicelib.image_fetcher import USER_AGENT
from chalicelib.middleware import AnswerResponse, Middleware, cors
from chalicelib.problems import EndpointBusy, Problem
from chalicelib.service import Answer
from chalicelib.telemetry import BatchFigures, ImageFigures

SECRET_QUERY = "https://dogs.example/photo.jpg?token=secret"


def request(**context: Any) -> Request:
    return Request(
        {
            "multiValueQueryStringParameters": {"url": [SECRET_QUERY]},
            "headers": {"authorization": "secret"},
            "pathParameters": {},
            "requestContext": {"httpMethod": "GET", "resourcePath": "/predict", **context},
            "body": None,
            "stageVariables": None,
        }
    )


def raises(error: Exception) -> Any:
    def get_response(_: Request) -> Response:
        raise error

    return get_response


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Any:
    """`log()` returns the log line, and checks that it contains no secret."""

    def log() -> dict[str, Any]:
        [line] = capsys.readouterr().out.splitlines()
        assert "secret" not in line
        record: dict[str, Any] = json.loads(line)
        return record

    return log


FIGURES = ImageFigures(
    fetch_ms=1.0,
    inference_ms=2.0,
    image_bytes=9,
    image_format="PNG",
    model_version="1",
    dog_probability=0.9,
    top_breed="Akita",
    top_probability=0.8,
)


def test_an_answer(log: Any) -> None:
    answer = AnswerResponse(Answer({"is_dog": True}, FIGURES))
    response = Middleware(None)(request(requestId="id"), lambda _: answer)
    assert response.status_code == 200
    assert response.body == {"is_dog": True, "request_id": "id"}
    assert response.headers["X-Request-Id"] == "id"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    record = log()
    assert (record["request_id"], record["route"], record["status"]) == ("id", "/predict", 200)
    assert (record["top_breed"], record["top_probability"]) == ("Akita", 0.8)
    assert (record["fetch_ms"], record["inference_ms"], record["image_bytes"]) == (1.0, 2.0, 9)
    assert record["model_version"] == "1"
    assert "problem" not in record
    assert "problems" not in record


def test_a_batch(log: Any) -> None:
    figures = BatchFigures(
        [FIGURES, dataclasses.replace(FIGURES, top_probability=0.6)],
        ["not-an-image", "not-an-image"],
    )
    answer = AnswerResponse(Answer({"results": [{}, {}, {}, {}]}, figures))
    response = Middleware(None)(request(requestId="id"), lambda _: answer)
    assert response.body == {"results": [{"request_id": "id"}] * 4, "request_id": "id"}
    record = log()
    assert (record["batch_images"], record["batch_failed"]) == (4, 2)
    assert record["batch_problems"] == {"not-an-image": 2}
    # CloudWatch reads every value of a list.
    assert record["top_probability"] == [0.8, 0.6]
    assert (record["fetch_ms"], record["top_breed"]) == ([1.0, 1.0], ["Akita", "Akita"])
    assert record["model_version"] == "1"
    [directive] = record["_aws"]["CloudWatchMetrics"]
    assert "top_probability" in {metric["Name"] for metric in directive["Metrics"]}


def test_a_batch_without_a_classified_image(log: Any) -> None:
    figures = BatchFigures([], ["not-an-image"])
    Middleware(None)(request(), lambda _: AnswerResponse(Answer({"results": [{}]}, figures)))
    record = log()
    assert (record["batch_images"], record["batch_failed"]) == (1, 1)
    assert "top_probability" not in record


def test_a_problem(log: Any) -> None:
    problem = EndpointBusy("Try again soon.", cause="ThrottlingException of 10.0.0.7")
    response = Middleware(None)(request(requestId="id"), raises(problem))
    assert response.status_code == 429
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"] == "1"
    assert response.body == {
        "type": "endpoint-busy",
        "title": "The model is busy",
        "status": 429,
        "detail": "Try again soon.",
        "request_id": "id",
    }
    record = log()
    assert (record["problem"], record["problems"]) == ("endpoint-busy", 1)
    assert record["cause"] == "ThrottlingException of 10.0.0.7"


def test_a_request_of_the_image_fetcher_is_refused(log: Any) -> None:
    """A URL that leads back to this API would turn one request into many."""
    own = request(requestId="id")
    own.headers = CaseInsensitiveMapping({"User-Agent": USER_AGENT})
    response = Middleware(None)(own, raises(AssertionError("the view is not called")))
    assert (response.status_code, response.body["type"]) == (403, "url-not-allowed")
    assert log()["problem"] == "url-not-allowed"


def test_an_unexpected_error_is_logged_but_not_shown(log: Any) -> None:
    response = Middleware(None)(request(), raises(RuntimeError("what went wrong")))
    assert response.status_code == 500
    assert response.body["type"] == "internal-error"
    assert "went wrong" not in json.dumps(response.body)
    record = log()
    assert record["problem"] == "internal-error"
    assert record["cause"].startswith("RuntimeError at chalicelib/test_middleware.py:")
    assert "went wrong" not in record["cause"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid-request"),
        (405, "method-not-allowed"),
        (415, "unsupported-media-type"),
        (500, "internal-error"),
    ],
)
def test_errors_of_chalice_become_problems(log: Any, status: int, kind: str) -> None:
    error = Response({"Code": "X", "Message": "Y"}, status_code=status)
    response = Middleware(None)(request(), lambda _: error)
    assert (response.status_code, response.body["type"]) == (status, kind)
    assert log()["problem"] == kind


@pytest.mark.parametrize("problem", [None, EndpointBusy("Try again soon.")])
def test_cors_headers_are_on_every_response(log: Any, problem: Problem | None) -> None:
    middleware = Middleware(cors("https://dogs.example"))
    get_response = raises(problem) if problem else lambda _: Response({})
    headers = middleware(request(), get_response).headers
    assert headers["Access-Control-Allow-Origin"] == "https://dogs.example"
    assert headers["Access-Control-Expose-Headers"] == "Retry-After,X-Request-Id"
    log()


def test_cors_is_off_without_an_origin(log: Any) -> None:
    headers = Middleware(cors(""))(request(), lambda _: Response({})).headers
    assert not any(name.startswith("Access-Control") for name in headers)
    log()


def test_head_has_no_body(log: Any) -> None:
    response = Middleware(None)(request(httpMethod="HEAD"), lambda _: Response({"status": "ok"}))
    assert response.body == ""
    assert response.headers["X-Request-Id"]
    assert log()["method"] == "HEAD"


def test_metrics_are_in_the_embedded_metric_format(log: Any) -> None:
    """Each metric that is listed is a number, each dimension is text."""
    Middleware(None)(request(stage="prod"), raises(EndpointBusy("Try again soon.")))
    record = log()
    assert abs(record["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    dimensions: dict[str, list[list[str]]] = {}
    for directive in record["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "WhatBreed"
        for metric in directive["Metrics"]:
            assert isinstance(record[metric["Name"]], int | float)
            assert metric["Unit"] in {"Count", "Milliseconds", "Bytes", "None"}
            dimensions.setdefault(metric["Name"], []).extend(directive["Dimensions"])
        for names in directive["Dimensions"]:
            assert all(isinstance(record[name], str) for name in names)
    assert dimensions["duration_ms"] == [["stage"]]
    assert dimensions["problems"] == [["stage"], ["stage", "problem"]]
    assert record["stage"] == "prod"
