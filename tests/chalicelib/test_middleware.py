"""What every answer passes on its way out, and what is left of it in the log."""

import json
import time
from typing import Any

import pytest
from chalice.app import CORSConfig, Request, Response

from chalicelib.middleware import Middleware
from chalicelib.problems import EndpointBusy, Problem

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
    """`log()`: the one line that was logged, as JSON, after a look for what must not be in it."""

    def log() -> dict[str, Any]:
        [line] = capsys.readouterr().out.splitlines()
        assert "secret" not in line
        record: dict[str, Any] = json.loads(line)
        return record

    return log


def test_a_good_answer(log: Any) -> None:
    answer = {
        "is_dog": True,
        "dog_probability": 0.9,
        "predictions": [{"breed": "Akita", "probability": 0.8, "logit": 3.0}],
        "model": {"name": "whatbreed", "version": "1"},
        "image": {"format": "PNG", "width": 1, "height": 1, "bytes": 9},
        "timing_ms": {"fetch": 1.0, "inference": 2.0, "total": 3.0},
    }
    response = Middleware(None)(request(requestId="id"), lambda _: Response(dict(answer)))
    assert response.status_code == 200
    assert response.body == {**answer, "request_id": "id"}
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
    answered = [
        {
            "predictions": [{"breed": "Akita", "probability": probability, "logit": 2.0}],
            "dog_probability": 0.9,
            "model": {"name": "m", "version": "1"},
            "image": {"format": "PNG", "width": 1, "height": 1, "bytes": 9},
            "timing_ms": {"fetch": 1.0, "inference": 2.0, "total": 3.0},
        }
        for probability in (0.8, 0.6)
    ]
    failed = {"type": "not-an-image", "status": 422}
    batch = {"results": [*answered, dict(failed), dict(failed)]}
    response = Middleware(None)(request(requestId="id"), lambda _: Response(batch))
    assert [result["request_id"] for result in response.body["results"]] == ["id"] * 4
    record = log()
    assert (record["batch_pictures"], record["batch_failed"]) == (4, 2)
    assert record["batch_problems"] == {"not-an-image": 2}
    # CloudWatch takes each value of a list: drift is seen in batches too.
    assert record["top_probability"] == [0.8, 0.6]
    assert (record["fetch_ms"], record["top_breed"]) == ([1.0, 1.0], ["Akita", "Akita"])
    assert record["model_version"] == "1"
    [directive] = record["_aws"]["CloudWatchMetrics"]
    assert "top_probability" in {metric["Name"] for metric in directive["Metrics"]}


def test_a_batch_of_which_nothing_came(log: Any) -> None:
    batch = {"results": [{"type": "not-an-image", "status": 422}]}
    Middleware(None)(request(requestId="id"), lambda _: Response(batch))
    record = log()
    assert (record["batch_pictures"], record["batch_failed"]) == (1, 1)
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


def test_a_defect_shows_nothing_to_the_client_and_all_to_the_log(log: Any) -> None:
    response = Middleware(None)(request(), raises(RuntimeError("what went wrong")))
    assert response.status_code == 500
    assert response.body["type"] == "internal-error"
    assert "went wrong" not in json.dumps(response.body).replace("Something went wrong", "")
    record = log()
    assert record["problem"] == "internal-error"
    assert "RuntimeError: what went wrong" in record["cause"]
    assert "Traceback" in record["cause"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid-request"),
        (405, "method-not-allowed"),
        (415, "unsupported-media-type"),
        (500, "internal-error"),
    ],
)
def test_what_chalice_refuses_becomes_a_problem(log: Any, status: int, kind: str) -> None:
    refused = Response({"Code": "X", "Message": "Y"}, status_code=status)
    response = Middleware(None)(request(), lambda _: refused)
    assert (response.status_code, response.body["type"]) == (status, kind)
    assert log()["problem"] == kind


@pytest.mark.parametrize("problem", [None, EndpointBusy("Try again soon.")])
def test_cors_is_on_every_answer_where_it_is_on(log: Any, problem: Problem | None) -> None:
    middleware = Middleware(CORSConfig(allow_origin="https://dogs.example"))
    get_response = raises(problem) if problem else lambda _: Response({})
    headers = middleware(request(), get_response).headers
    assert headers["Access-Control-Allow-Origin"] == "https://dogs.example"
    log()


def test_a_log_line_holds_metrics_as_cloudwatch_reads_them(log: Any) -> None:
    """The Embedded Metric Format: every metric and dimension that is named is there, a number
    and a text."""
    Middleware(None)(request(stage="prod"), raises(EndpointBusy("Try again soon.")))
    record = log()
    assert abs(record["_aws"]["Timestamp"] / 1000 - time.time()) < 60
    seen: dict[str, list[list[str]]] = {}
    for directive in record["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "WhatBreed"
        for metric in directive["Metrics"]:
            assert isinstance(record[metric["Name"]], int | float)
            assert metric["Unit"] in {"Count", "Milliseconds", "Bytes", "None"}
            seen.setdefault(metric["Name"], []).extend(directive["Dimensions"])
        for dimensions in directive["Dimensions"]:
            assert all(isinstance(record[name], str) for name in dimensions)
    assert seen["duration_ms"] == [["stage"]]
    assert seen["problems"] == [["stage"], ["stage", "problem"]]
    assert record["stage"] == "prod"
