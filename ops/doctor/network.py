"""Check the VPC of the settings: S3, the internet for pip, and traffic between instances."""

from collections.abc import Iterator
from typing import Any

from aws import vpc
from aws.account import Account
from aws.errors import AwsError
from ops.deployment import Deployment
from ops.doctor.line import Line, Status


def check(deployment: Deployment) -> Iterator[Line]:
    """Check what jobs and endpoints inside the VPC can reach; nothing without subnets."""
    account = deployment.account
    if not account.settings.subnets:
        yield Line(Status.OK, "network", "no VPC")
        return
    try:
        yield Line(Status.OK, "network", vpc.check_s3_route(account))
    except AwsError as error:
        yield Line(Status.BLOCKS, "network", str(error), "add the S3 gateway endpoint, it is free")
    without = [name for name in account.settings.subnets if not _reaches_internet(account, name)]
    if without and not deployment.fit.network_isolation:
        yield Line(
            Status.WARNING,
            "network",
            f"{', '.join(without)} has no route to the internet: training jobs cannot run pip",
            "add a NAT gateway, or set network_isolation and an image with all packages in [fit]",
        )
    admitting = _admits_itself(account)  # also fails if a group does not exist
    if deployment.fit.instance_count > 1 and not admitting:
        yield Line(
            Status.WARNING,
            "network",
            "no security group admits itself: the instances of a job cannot reach each other",
            "allow all traffic from the security group itself",
        )


def _reaches_internet(account: Account, subnet: str) -> bool:
    ec2 = account.client("ec2")
    tables = ec2.describe_route_tables(
        Filters=[{"Name": "association.subnet-id", "Values": [subnet]}]
    )["RouteTables"]
    if not tables:  # the subnet uses the VPC's main table
        [described] = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        tables = ec2.describe_route_tables(
            Filters=[
                {"Name": "vpc-id", "Values": [described["VpcId"]]},
                {"Name": "association.main", "Values": ["true"]},
            ]
        )["RouteTables"]
    return any(_is_default(route) for table in tables for route in table["Routes"])


def _is_default(route: dict[str, Any]) -> bool:
    """Whether a route leads everything out. SageMaker's interfaces have no public addresses, so
    that an internet gateway does not serve them."""
    targets = ("NatGatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId")
    return route.get("DestinationCidrBlock") == "0.0.0.0/0" and any(map(route.get, targets))


def _admits_itself(account: Account) -> bool:
    groups = account.client("ec2").describe_security_groups(
        GroupIds=account.settings.security_groups
    )["SecurityGroups"]
    return any(
        pair.get("GroupId") == group["GroupId"]
        for group in groups
        for permission in group["IpPermissions"]
        for pair in permission.get("UserIdGroupPairs", [])
    )
