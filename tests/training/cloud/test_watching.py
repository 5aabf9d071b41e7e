"""Who only watches needs little: `policy --role watch` allows what `watch` calls, and no more."""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient
from moto.cloudwatch.models import CloudWatchBackend

from tests.training.cloud.conftest import ACCOUNT, REGION, Command
from tests.training.watch import cloudwatch
from training.cloud import scaling
from training.cloud.auditing.grants import as_list

CONFIG = "whatbreed-prod-0123456789ab"


@pytest.fixture
def endpoint(aws: None) -> Iterator[None]:
    """The endpoint of stage prod, which is scaled, and a CloudWatch that knows percentiles."""
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_model(
        ModelName=CONFIG,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/whatbreed-serving",
        PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://bucket/model.tar.gz"},
    )
    variant = {"VariantName": "AllTraffic", "ModelName": CONFIG, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName=CONFIG,
        ProductionVariants=[{**variant, "InstanceType": "ml.c6i.large"}],
    )
    sagemaker.create_endpoint(EndpointName="whatbreed-prod", EndpointConfigName=CONFIG)
    where = scaling.where("whatbreed-prod")
    client = boto3.client("application-autoscaling")
    client.register_scalable_target(**where, MinCapacity=1, MaxCapacity=4)
    with patch.object(CloudWatchBackend, "get_metric_data", cloudwatch.get_metric_data):
        yield


@pytest.fixture
def called(endpoint: None, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The IAM actions of every call that is made from here on."""
    found = set[str]()
    call = BaseClient._make_api_call

    def record(self: Any, operation: str, request: Any) -> Any:
        service = self.meta.service_model.signing_name
        found.add(f"{ {'monitoring': 'cloudwatch'}.get(service, service) }:{operation}")
        return call(self, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return found


def test_the_policy_allows_what_is_called(called: set[str], command: Command) -> None:
    outcome = command("watch", "--stage", "prod", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["endpoint"]["max_instances"] == 4
    used = set(called)
    for role, exactly in (("watch", True), ("deploy", False)):
        statements = command("policy", "--role", role).json["Statement"]
        allowed = {action for one in statements for action in as_list(one["Action"])}
        assert used == allowed if exactly else used < allowed


def test_the_policy_names_the_endpoints(endpoint: None, command: Command) -> None:
    statements = command("policy", "--role", "watch").json["Statement"]
    named = [arn for one in statements for arn in as_list(one["Resource"]) if arn != "*"]
    prefix = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    for arn in (f"{prefix}:endpoint/whatbreed-prod", f"{prefix}:endpoint-config/{CONFIG}"):
        assert any(fnmatch(arn, pattern) for pattern in named)
    assert not any(fnmatch(f"{prefix}:endpoint/another", pattern) for pattern in named)


def test_who_may_not_look_is_told_what_to_ask_for(
    endpoint: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, operation: str, request: Any) -> Any:
        error = {"Code": "AccessDenied", "Message": f"User is not authorized: {operation}"}
        raise self.exceptions.ClientError({"Error": error}, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    outcome = command("watch", "--stage", "prod")
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert "GetMetricData is not allowed" in line
    assert "`python -m training policy --role deploy`" in line
