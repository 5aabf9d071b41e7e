"""The local Runtime API, called with boto3."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from model_code.faults import FAULTS, REAL_TIME_PAYLOAD_BYTES, SERVERLESS_PAYLOAD_BYTES
from model_code.images import MAX_PAYLOAD_BYTES
from tests.servers import model_server

pytestmark = pytest.mark.server


def connect(address: str) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module")
def client(tiny_runtime: str) -> Any:
    return connect(tiny_runtime)


def test_an_invocation(client: Any, encode: Callable[..., bytes]) -> None:
    answer = client.invoke_endpoint(
        EndpointName="whatbreed-local", Body=encode("red"), ContentType="image/png"
    )
    assert json.loads(answer["Body"].read())["logits"] == pytest.approx([10, 0, 0], abs=1e-3)
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ResponseMetadata"]["RequestId"]


def test_an_unknown_endpoint_is_a_validation_error(client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke_endpoint(EndpointName="other", Body=b"x", ContentType="image/png")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert "Endpoint other of account" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"no image", "image/png", 422),
        (b"x", "text/plain", 415),
        (bytes(MAX_PAYLOAD_BYTES + 1), "image/png", 413),
    ],
)
def test_an_error_of_the_model_is_a_model_error(
    client: Any, body: bytes, content_type: str, status: int
) -> None:
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="whatbreed-local", Body=body, ContentType=content_type)
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert json.loads(response["OriginalMessage"])["error"]
    assert f"Received client error ({status}) from primary" in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("name", "status", "code", "container_status"),
    [
        ("worker-died", 424, "ModelError", 0),
        ("model-failed", 424, "ModelError", 500),
        ("overloaded", 424, "ModelError", 429),
        ("not-ready", 429, "ModelNotReadyException", None),
        ("throttled", 400, "ThrottlingException", None),
        ("no-endpoint", 400, "ValidationError", None),
        ("denied", 403, "AccessDeniedException", None),
        ("internal", 500, "InternalFailure", None),
        ("unavailable", 503, "ServiceUnavailable", None),
        ("dependency", 530, "InternalDependencyException", None),
        ("too-large", 413, "413", None),
    ],
)
def test_faults_on_request(
    client: Any, name: str, status: int, code: str, container_status: int | None
) -> None:
    with pytest.raises(ClientError) as caught:
        client.invoke_endpoint(
            EndpointName="whatbreed-local", Body=b"x" * 100_000, CustomAttributes=f"fault={name}"
        )
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response.get("OriginalStatusCode") == container_status


def test_an_unknown_fault_is_refused(client: Any) -> None:
    with pytest.raises(ClientError, match="Unknown fault 'x': worker-died, "):
        client.invoke_endpoint(EndpointName="whatbreed-local", Body=b"", CustomAttributes="fault=x")


def test_every_fault_is_tested_and_described() -> None:
    [parameters] = [
        mark.args[1] for mark in test_faults_on_request.pytestmark if mark.name == "parametrize"
    ]
    assert [each[0] for each in parameters] == list(FAULTS)


def test_other_attributes_do_not_matter(client: Any) -> None:
    answer = client.invoke_endpoint(
        EndpointName="whatbreed-local", Body=b"{}", ContentType="application/json",
        CustomAttributes="trace=default=worker-died",
    )  # fmt: skip
    assert json.loads(answer["Body"].read())["labels"]


def test_a_payload_above_the_limit_of_sagemaker(client: Any) -> None:
    with pytest.raises(ClientError, match=f"exceeded {REAL_TIME_PAYLOAD_BYTES} bytes") as caught:
        client.invoke_endpoint(
            EndpointName="whatbreed-local", Body=bytes(REAL_TIME_PAYLOAD_BYTES + 1)
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_a_server_that_always_fails(tiny_model_dir: Path) -> None:
    with model_server(tiny_model_dir, "model_code.local", "--fault", "not-ready") as address:
        client = connect(address)
        with pytest.raises(client.exceptions.ModelNotReadyException):
            client.invoke_endpoint(EndpointName="whatbreed-local", Body=b"x")


def test_serverless_accepts_less(tiny_model_dir: Path) -> None:
    body = bytes(SERVERLESS_PAYLOAD_BYTES + 1)
    with (
        model_server(tiny_model_dir, "model_code.local", "--serverless") as address,
        pytest.raises(ClientError, match="content length exceeded 4194304"),
    ):
        connect(address).invoke_endpoint(EndpointName="whatbreed-local", Body=body)
