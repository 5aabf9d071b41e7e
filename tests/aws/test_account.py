"""Refusals of AWS, each told in one line that says what to do."""

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    SSOTokenLoadError,
)

from aws.account import Account, explain, is_missing
from aws.settings import AwsSettings


def refusal(code: str, message: str, operation: str = "CreateEndpoint") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NoCredentialsError(), "aws configure"),
        (NoRegionError(), "AWS_DEFAULT_REGION"),
        (ProfileNotFound(profile="x"), "list-profiles"),
        (SSOTokenLoadError(error_msg="expired"), "aws sso login"),
        (EndpointConnectionError(endpoint_url="https://x"), "check the network"),
        (refusal("AccessDeniedException", "User x may not"), "policy --role deploy"),
        (refusal("ExpiredToken", "The token has expired"), "log in again"),
        (refusal("NoSuchBucket", "none"), "--create-bucket"),
        (refusal("BucketAlreadyExists", "taken"), "--bucket"),
        (refusal("ResourceLimitExceeded", "0 Instances"), "Service Quotas"),
        (refusal("ThrottlingException", "slow"), "run the same command again"),
        (refusal("ResourceInUse", "the name is taken"), "the name exists already"),
        (refusal("ValidationException", "Could not assume role x"), "policy --role"),
        (refusal("ValidationException", "first\n  second"), "first second"),
    ],
)
def test_one_line_that_says_what_to_do(error: Exception, told: str) -> None:
    text = explain(error)
    assert told in text
    assert "\n" not in text


def test_what_boto3_wraps_is_unwrapped() -> None:
    wrapped = RuntimeError("Failed to upload")
    wrapped.__cause__ = refusal("NoSuchBucket", "none", "PutObject")
    assert "--create-bucket" in explain(wrapped)


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (refusal("ValidationException", 'Could not find endpoint "x".'), True),
        (refusal("NoSuchEntity", "The role cannot be found"), True),
        (refusal("404", "Not Found"), True),
        (refusal("AccessDenied", "no"), False),
        (refusal("ValidationException", "bad name"), False),
    ],
)
def test_what_does_not_exist(error: ClientError, missing: bool) -> None:
    assert is_missing(error) is missing


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_environment(
    credentials: None, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv(variable, "eu-central-1")
    assert Account(AwsSettings.read()).region == "eu-central-1"
