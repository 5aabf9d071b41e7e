"""Events of any kind get an answer and one log line."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Response

from chalicelib.chalice_app import App
from chalicelib.middleware import Middleware

URL = "https://dogs.example/?token=secret"
REST = {"requestContext": {"resourcePath": "/predict", "httpMethod": "POST", "stage": "prod"}}


@pytest.fixture
def app() -> App:
    """An app that responds with the body of the request."""
    app = App("test")
    app.register_middleware(Middleware(None), "http")

    @app.route("/predict", methods=["POST"])
    def predict() -> Response:
        assert app.current_request is not None
        return Response(json.dumps(json.loads(app.current_request.raw_body)))

    return app


def invoke(app: App, event: Any, capsys: pytest.CaptureFixture[str]) -> tuple[Any, Any]:
    """Return the response and the log line."""
    response = app(event, SimpleNamespace(aws_request_id="id-of-lambda"))
    [line] = capsys.readouterr().out.splitlines()
    assert "secret" not in line
    return response, json.loads(line)


def test_the_test_event_of_the_console(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"url": URL, "top_k": 3}
    response, record = invoke(app, event, capsys)
    assert (response["statusCode"], json.loads(response["body"])) == (200, event)
    assert record["request_id"] == response["headers"]["X-Request-Id"] == "id-of-lambda"
    assert (record["stage"], record["route"], record["method"]) == ("direct", "/predict", "POST")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"key1": "value1"},  # the console's default
        {"source": "serverless-plugin-warmup"},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
        None,
        "warm",
        [],
        1,
        {"url": URL, "requestContext": {"elb": {"targetGroupArn": "arn:…"}}, "httpMethod": "GET"},
        {  # an HTTP API
            "version": "2.0",
            "rawPath": "/predict",
            "rawQueryString": f"url={URL}",
            "requestContext": {"http": {"method": "GET", "path": "/predict"}, "stage": "$default"},
        },
        {"requestContext": {"connectionId": "x", "routeKey": "$connect"}},
        {"requestContext": "odd", "url": URL},
        {"Records": [{"eventSource": "aws:s3"}]},
    ],
)
def test_other_events(app: App, capsys: pytest.CaptureFixture[str], event: Any) -> None:
    response, record = invoke(app, event, capsys)
    document = json.loads(response["body"])
    assert (response["statusCode"], document["type"]) == (400, "invalid-request")
    assert document["detail"].startswith("The event is neither a request of an API Gateway")
    assert (record["status"], record["problem"]) == (400, "invalid-request")
    assert (record["stage"], record["route"]) == ("direct", "none")


def test_a_rest_event_without_optional_members(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    response, record = invoke(app, {**REST, "body": "{}"}, capsys)
    assert (response["statusCode"], json.loads(response["body"])) == (200, {})
    assert (record["stage"], record["route"]) == ("prod", "/predict")


def test_a_route_that_does_not_exist(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"requestContext": {"resourcePath": "/{proxy+}", "httpMethod": "GET"}}
    response, record = invoke(app, event, capsys)
    assert (response["statusCode"], record["problem"]) == (405, "method-not-allowed")


def test_chalice_does_not_log_an_exception(
    app: App, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    response, record = invoke(app, {**REST, "body": "secret"}, capsys)
    assert (response["statusCode"], record["problem"]) == (500, "internal-error")
    assert record["cause"].startswith("JSONDecodeError at json/decoder.py:")
    assert caplog.text == ""
