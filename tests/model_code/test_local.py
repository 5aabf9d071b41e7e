"""The local Runtime API, called with boto3."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from model_code.images import MAX_PAYLOAD_BYTES
from tests.servers import model_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def client(tiny_model_dir: Path) -> Iterator[Any]:
    with model_server(tiny_model_dir) as address:
        yield boto3.client(
            "sagemaker-runtime",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )


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
