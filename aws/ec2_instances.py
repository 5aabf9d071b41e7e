"""Find and describe the EC2 instances of training runs by their tags."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, or_none

LIVE = ("pending", "running", "stopping", "stopped")
"""States of instances that have not been terminated."""


def name_of(account: Account, run: str) -> str:
    """Return the tag Name of the instances of a run."""
    return f"{account.settings.prefix}-{run}"


def ours(account: Account, states: Sequence[str] = LIVE) -> Iterator[dict[str, Any]]:
    """Yield the instances with our tags and a name of our prefix that are in one of `states`."""
    filters = [
        {"Name": "tag:Name", "Values": [name_of(account, "*")]},
        *(
            {"Name": f"tag:{key}", "Values": [value]}
            for key, value in account.settings.tags.items()
        ),
        {"Name": "instance-state-name", "Values": list(states)},
    ]
    pages = account.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
    yield from pages.search("Reservations[].Instances[]")


def of_run(account: Account, run: str) -> dict[str, Any] | None:
    """Return the instance that trains `run`, or None."""
    name = {"Key": "Name", "Value": name_of(account, run)}
    live = (each for each in ours(account, ("pending", "running")) if name in each["Tags"])
    return next(live, None)


def state(account: Account, instance: str) -> str:
    """Return the state of an instance; `terminated` also if EC2 has forgotten it."""
    client = account.client("ec2")
    response = or_none(lambda: client.describe_instances(InstanceIds=[instance]))
    if response is None or not response["Reservations"]:
        return "terminated"
    return str(response["Reservations"][0]["Instances"][0]["State"]["Name"])


def terminate(account: Account, instance: str) -> None:
    """Terminate an instance."""
    account.client("ec2").terminate_instances(InstanceIds=[instance])


def spot_usd_per_hour(account: Account, instance_type: str) -> float | None:
    """Return the lowest spot price of a type in the region's zones now, or None if it is unknown.

    Operators without ec2:DescribeSpotPriceHistory get None.
    """
    client = account.client("ec2")
    try:
        response = client.describe_spot_price_history(
            InstanceTypes=[instance_type],
            ProductDescriptions=["Linux/UNIX"],
            StartTime=datetime.now(UTC),  # the prices that are valid now
        )
    except ClientError:
        return None
    return min((float(each["SpotPrice"]) for each in response["SpotPriceHistory"]), default=None)
