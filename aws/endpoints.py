"""SageMaker endpoints: describe them, wait for them, delete them."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from aws.account import Account, or_none
from aws.errors import AwsError
from aws.polling import poll, retry

T = TypeVar("T")

BUSY = frozenset({"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"})
"""Statuses that pass without a call.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of the endpoint, or None if it does not exist."""
    return or_none(lambda: account.client("sagemaker").describe_endpoint(EndpointName=name))


def present(account: Account, name: str) -> dict[str, Any]:
    """Return AWS's description of the endpoint. Raises AwsError if it does not exist."""
    endpoint = describe(account, name)
    if endpoint is None:
        raise AwsError(f"Endpoint {name} does not exist: deploy a model first.")
    return endpoint


def settled(account: Account, name: str) -> dict[str, Any] | None:
    """Wait until the endpoint stops changing, and return its description, or None if it is gone.

    Its status is printed while it changes.
    """
    endpoint = describe(account, name)
    if endpoint is None or endpoint["EndpointStatus"] not in BUSY:
        return endpoint
    return poll(
        account,
        read=lambda: describe(account, name),
        settled=lambda current: current is None or current["EndpointStatus"] not in BUSY,
        status=lambda current: f"{name}: {current['EndpointStatus'] if current else 'deleted'}",
    )


def in_service(account: Account, name: str) -> dict[str, Any]:
    """Return the description of an endpoint in service, after waiting for a change to end.

    Raises AwsError with AWS's reason if it does not serve then.
    """
    endpoint = settled(account, name) or present(account, name)
    if endpoint["EndpointStatus"] != "InService":
        raise AwsError(
            f"{name} is {endpoint['EndpointStatus']}: {failure_reason(endpoint)}. "
            "`python -m ops endpoint deploy` repairs it."
        )
    return endpoint


def failure_reason(endpoint: dict[str, Any]) -> str:
    """Return AWS's reason of a failure in one line, without a full stop."""
    return " ".join(endpoint.get("FailureReason", "AWS gives no reason").split()).rstrip(".")


def is_serverless(variants: list[dict[str, Any]]) -> bool:
    """Return whether the variants of an endpoint or of a config have no instances."""
    return any("CurrentServerlessConfig" in each or "ServerlessConfig" in each for each in variants)


def describe_config(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of the endpoint config, or None if it does not exist."""
    sagemaker = account.client("sagemaker")
    return or_none(lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name))


def once_visible(account: Account, call: Callable[[], T]) -> T:
    """Call AWS again while it does not find a model or a config that was just created.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
    """
    return retry(account, call, _is_not_visible_yet)


def _is_not_visible_yet(error: ClientError) -> bool:
    message = error.response.get("Error", {}).get("Message", "")
    return bool(re.search('Could not find (endpoint configuration|model) "', message))


def delete(account: Account, name: str) -> None:
    """Delete the endpoint if it exists, and wait until it is gone.

    AWS does not delete an endpoint that is changing, so a change is waited for.
    """
    if settled(account, name) is None:
        return
    account.client("sagemaker").delete_endpoint(EndpointName=name)
    poll(
        account,
        read=lambda: describe(account, name),
        settled=lambda description: description is None,
    )
