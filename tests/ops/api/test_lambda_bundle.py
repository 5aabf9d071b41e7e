"""The zip for Lambda, unpacked and called as Lambda and API Gateway do."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.api.lambda_events import Handle, event
from tests.servers import HOST, free_port, model_server

pytestmark = pytest.mark.server

MAX_BUNDLE_BYTES = 300_000


def test_the_bundle_is_small_and_contains_only_the_api(local_bundle: Path) -> None:
    assert local_bundle.stat().st_size <= MAX_BUNDLE_BYTES
    top = {name.partition("/")[0] for name in zipfile.ZipFile(local_bundle).namelist()}
    assert top == {"__pycache__", "app.py", "chalice", "chalicelib"}


def test_an_event_of_api_gateway_is_handled(
    handle: Handle, tiny_model_dir: Path, encode: Callable[..., bytes]
) -> None:
    with model_server(tiny_model_dir) as runtime:
        response = handle(event("POST", "/predict", encode("blue")), runtime)
    assert response["statusCode"] == 200
    document = json.loads(response["body"])
    assert document["predictions"][0]["breed"] == "Blue terrier"
    assert document["request_id"] == "id-of-aws"
    [line] = response["log"]
    assert (line["request_id"], line["status"], line["cold_start"]) == ("id-of-aws", 200, True)
    assert line["top_breed"] == "Blue terrier"


def test_a_function_without_its_endpoint_returns_a_problem(handle: Handle) -> None:
    unreachable = f"http://{HOST}:{free_port()}"
    response = handle(event("GET", "/breeds"), unreachable)
    assert response["statusCode"] == 503
    assert response["headers"]["Content-Type"] == "application/problem+json"
    [line] = response["log"]
    assert line["problem"] == "endpoint-unavailable"
    assert "ECONNREFUSED" in line["cause"]
    assert unreachable not in response["body"]
