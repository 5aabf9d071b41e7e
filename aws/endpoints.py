"""Describe SageMaker endpoints and their configs."""

from typing import Any

from aws.account import Account, or_none
from aws.errors import AwsError
from aws.polling import poll


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of the endpoint, or None if it does not exist."""
    return or_none(lambda: account.client("sagemaker").describe_endpoint(EndpointName=name))


def present(account: Account, name: str) -> dict[str, Any]:
    """Return AWS's description of the endpoint. Raises AwsError if it does not exist."""
    endpoint = describe(account, name)
    if endpoint is None:
        raise AwsError(f"Endpoint {name} does not exist: deploy a model first.")
    return endpoint


def describe_config(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of the endpoint config, or None if it does not exist."""
    sagemaker = account.client("sagemaker")
    return or_none(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name))


def delete(account: Account, name: str) -> None:
    """Delete the endpoint if it exists, and wait until it is gone."""
    if describe(account, name) is None:
        return
    account.client("sagemaker").delete_endpoint(EndpointName=name)
    poll(
        account,
        read=lambda: describe(account, name),
        settled=lambda description: description is None,
    )
