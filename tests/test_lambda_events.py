"""The function, invoked with events that did not come through API Gateway."""

import json
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.ops.api.lambda_events import event, handler
from tests.servers import answer, web_server

pytestmark = pytest.mark.server
PACKAGES = Path(sysconfig.get_path("purelib"))


def test_the_console_and_warmers(tiny_runtime: str, encode: Callable[..., bytes]) -> None:
    handle = handler(ROOT, PACKAGES)
    with web_server(answer(200, encode("red"))) as host:
        response = handle({"url": f"{host}/red.png"}, tiny_runtime, FETCH_ALLOW_LOOPBACK="true")
    document = json.loads(response["body"])
    assert (response["statusCode"], document["predictions"][0]["breed"]) == (200, "Red setter")
    [record] = response["log"]
    assert (record["route"], record["stage"]) == ("/predict", "direct")
    response = handle({"source": "serverless-plugin-warmup"}, tiny_runtime)
    assert response["statusCode"] == 400
    assert [record["problem"] for record in response["log"]] == ["invalid-request"]


@pytest.mark.parametrize("body", ["\ud800", '{"url": "http://dogs.example/\ud800"}'])
def test_a_body_with_a_surrogate(tiny_runtime: str, body: str) -> None:
    odd = {**event("POST", "/predict", content_type="application/json"), "body": body}
    response = handler(ROOT, PACKAGES)(odd, tiny_runtime)
    assert (response["statusCode"], len(response["log"])) == (400, 1)


def test_an_unexpected_error_is_one_line_without_its_message(tiny_runtime: str) -> None:
    odd = {**event("POST", "/predict"), "body": {"secret": "secret"}, "isBase64Encoded": False}
    response = handler(ROOT, PACKAGES)(odd, tiny_runtime)
    [record] = response["log"]
    assert (response["statusCode"], record["problem"]) == (500, "internal-error")
    assert record["cause"].startswith("AttributeError at chalice/app.py:")
