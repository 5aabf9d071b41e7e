"""The zip that goes to Lambda, unpacked as Lambda would and asked as API Gateway would."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.api.bundle import package
from tests.servers import HOST, free_port, model_server

pytestmark = pytest.mark.server

# boto3 and what it imports: all that Lambda's Python brings.
LAMBDA_PACKAGES = ["boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"]
MAX_BUNDLE_BYTES = 300_000

# No site-packages (-S), no environment of this test's Python (-I): only what is named here.
HANDLE_AN_EVENT = """
import json, sys
bundle, packages, event = sys.argv[1:]
sys.path[:0] = [bundle, packages]
import app
json.dump(app.app(json.loads(event), None), sys.stderr)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("package")
    # The code is the same for every stage, and this one needs no policy of an account.
    package("local", "us-east-1", out)
    return out / "deployment.zip"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but boto3 and what boto3 needs."""
    folder = tmp_path_factory.mktemp("lambda-packages")
    for name in LAMBDA_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


def test_the_bundle_is_small_and_holds_the_api_alone(bundle: Path) -> None:
    assert bundle.stat().st_size <= MAX_BUNDLE_BYTES
    top = {name.partition("/")[0] for name in zipfile.ZipFile(bundle).namelist()}
    assert top == {"__pycache__", "app.py", "chalice", "chalicelib"}


def event(method: str, path: str, body: bytes | None = None, **members: Any) -> dict[str, Any]:
    """An event of API Gateway's REST API, Lambda proxy integration; binary bodies in base64."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Accept": "*/*", "Content-Type": "image/png"},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"resourcePath": path, "httpMethod": method, "requestId": "id-of-aws"},
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
        **members,
    }


@pytest.fixture(scope="module")
def handle(bundle: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`handle(event, runtime_address)`: the unpacked function's answer."""
    unpacked = tmp_path_factory.mktemp("task")
    zipfile.ZipFile(bundle).extractall(unpacked)

    def handle(event: dict[str, Any], runtime_address: str) -> dict[str, Any]:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", HANDLE_AN_EVENT]
            + [str(unpacked), str(packages), json.dumps(event)],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": os.environ["PATH"],
                "ENDPOINT_NAME": "whatbreed-local",
                "AWS_LAMBDA_FUNCTION_NAME": "whatbreed-dev",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_address,
            },
        )
        assert ended.returncode == 0, ended.stderr
        response: dict[str, Any] = json.loads(ended.stderr)
        response["log"] = [json.loads(line) for line in ended.stdout.splitlines()]
        return response

    return handle


def test_an_event_of_api_gateway_is_answered(
    handle: Any, tiny_model_dir: Path, encode: Callable[..., bytes]
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


def test_a_function_without_its_endpoint_says_so(handle: Any) -> None:
    nobody = f"http://{HOST}:{free_port()}"
    response = handle(event("GET", "/breeds"), nobody)
    assert response["statusCode"] == 503
    assert response["headers"]["Content-Type"] == "application/problem+json"
    [line] = response["log"]
    assert line["problem"] == "endpoint-unavailable"
    assert nobody in line["cause"]
    assert nobody not in response["body"]
