"""SageMaker endpoints and their configs, as AWS describes them."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from aws.errors import AwsError


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """The endpoint as AWS describes it, or None where it does not exist."""
    return or_none(lambda: account.client("sagemaker").describe_endpoint(EndpointName=name))


def present(account: Account, name: str) -> dict[str, Any]:
    """The endpoint as AWS describes it. Raises `AwsError` where it does not exist."""
    found = describe(account, name)
    if found is None:
        raise AwsError(f"endpoint {name} does not exist: deploy a model first")
    return found


def describe_config(account: Account, name: str) -> dict[str, Any] | None:
    """The endpoint config as AWS describes it, or None where it does not exist."""
    sagemaker = account.client("sagemaker")
    return or_none(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name))


def or_none(call: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        return dict(call())
    except ClientError as error:
        if is_missing(error):
            return None
        raise
