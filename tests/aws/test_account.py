"""AWS's errors as one line, and the account of the environment."""

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


def error(code: str, message: str, operation: str = "CreateEndpoint") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (NoCredentialsError(), "aws configure"),
        (NoRegionError(), "AWS_DEFAULT_REGION"),
        (ProfileNotFound(profile="x"), "list-profiles"),
        (SSOTokenLoadError(error_msg="expired"), "aws sso login"),
        (EndpointConnectionError(endpoint_url="https://x"), "Check the network"),
        (error("AccessDeniedException", "User x may not"), "policy --role deploy"),
        (error("ExpiredToken", "The token has expired"), "Log in again"),
        (error("NoSuchBucket", "none"), "--create-bucket"),
        (error("BucketAlreadyExists", "taken"), "--bucket"),
        (error("ResourceLimitExceeded", "0 Instances"), "Service Quotas"),
        (error("ThrottlingException", "slow"), "run the same command again"),
        (error("ResourceInUse", "the name is taken"), "the name exists already"),
        (error("ValidationException", "Could not assume role x"), "policy --role"),
        (error("ValidationException", "first\n  second"), "first second"),
    ],
)
def test_an_error_is_one_line_with_advice(failure: Exception, message: str) -> None:
    text = explain(failure)
    assert message in text
    assert "\n" not in text


def test_the_cause_of_a_failed_transfer_counts() -> None:
    wrapped = RuntimeError("Failed to upload")
    wrapped.__cause__ = error("NoSuchBucket", "none", "PutObject")
    assert "--create-bucket" in explain(wrapped)


@pytest.mark.parametrize(
    ("failure", "missing"),
    [
        (error("ValidationException", 'Could not find endpoint "x".'), True),
        (error("NoSuchEntity", "The role cannot be found"), True),
        (error("404", "Not Found"), True),
        (error("AccessDenied", "no"), False),
        (error("ValidationException", "bad name"), False),
    ],
)
def test_is_missing(failure: ClientError, missing: bool) -> None:
    assert is_missing(failure) is missing


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_environment(
    credentials: None, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv(variable, "eu-central-1")
    assert Account(AwsSettings.read()).region == "eu-central-1"
