from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.aws_rules import rules

SEEN: list[dict[str, Any]] = []
CALLS = [
    ("sagemaker", "DescribeEndpoint", {"EndpointName": "x"}, "ValidationException"),
    ("iam", "GetRole", {"RoleName": "x"}, "NoSuchEntity"),
    ("lambda", "GetFunction", {"FunctionName": "x"}, "ResourceNotFoundException"),
    ("apigateway", "GetRestApi", {"restApiId": "x"}, "NotFoundException"),
    ("ec2", "TerminateInstances", {"InstanceIds": ["i-1"]}, "UnauthorizedOperation"),
    ("cloudformation", "DescribeStacks", {"StackName": "x"}, "ValidationError"),
    ("s3", "GetObject", {"Bucket": "bucket", "Key": "x"}, "AccessDenied"),
    ("logs", "DescribeLogGroups", {"logGroupNamePrefix": "x"}, "InvalidParameterException"),
]


@pytest.fixture
def refusing(aws: None) -> Iterator[None]:
    """Each call of CALLS is refused with its code."""

    def refuse(code: str) -> Any:
        def check(request: rules.Request) -> None:
            SEEN.append(request.parameters)
            raise rules.Refused(code, "refused by a test")

        return check

    made = [
        rules.Rule(service, (operation,), refuse(code), "") for service, operation, _, code in CALLS
    ]
    with patch.object(rules, "RULES", made):
        yield


@pytest.mark.parametrize(("service", "operation", "parameters", "code"), CALLS)
def test_a_rule_refuses_in_every_protocol(
    refusing: None, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    client = boto3.client(service)
    if service == "s3":
        client.create_bucket(Bucket="bucket")
    with pytest.raises(ClientError, match="refused by a test") as raised:
        client._make_api_call(operation, parameters)
    assert raised.value.response["Error"]["Code"] == code
    assert parameters.items() <= SEEN[-1].items()


def test_every_rule_names_an_operation_and_a_source() -> None:
    session = boto3.Session(region_name="us-east-1")
    for rule in rules.load():
        assert rule.source.startswith("https://"), rule
        assert rule.check.__doc__, rule
        known = session.client(rule.service).meta.service_model.operation_names
        assert set(rule.operations) <= set(known), rule
