"""Check that jobs inside a VPC reach S3, Python packages and each other."""

from collections.abc import Iterable
from typing import Any

from aws.account import Account
from aws.errors import AwsError
from aws.settings import FitSettings

# A job's network interface has no public address, so an internet gateway is of no use to it.
_TARGETS = ("NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId")


def check(account: Account, fit: FitSettings) -> str:
    """Check everything that training jobs need in the VPC of [aws]; return a report.

    Raises AwsError with the command that adds what is missing.
    """
    reports = [check_s3_route(account), check_packages(account, fit), check_groups(account, fit)]
    return "\n".join(filter(None, reports))


def check_s3_route(account: Account) -> str:
    """Check that every subnet of [aws] has a route to an S3 gateway endpoint; return a report.

    Raises AwsError with the command that adds what is missing.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html#train-vpc-s3
    """
    vpc = _vpc(account)
    ec2 = account.client("ec2")
    service = f"com.amazonaws.{account.region}.s3"
    gateways = ec2.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "service-name", "Values": [service]},
            {"Name": "vpc-endpoint-type", "Values": ["Gateway"]},
        ]
    )["VpcEndpoints"]
    if not gateways:
        raise AwsError(
            f"{vpc} has no S3 gateway endpoint. It is free: aws ec2 create-vpc-endpoint "
            f"--vpc-id {vpc} --service-name {service} --route-table-ids RTB"
        )
    served = {table for gateway in gateways for table in gateway.get("RouteTableIds", [])}
    tables = _route_tables(account, vpc)
    without = [name for name, table in tables.items() if table["RouteTableId"] not in served]
    names = [gateway["VpcEndpointId"] for gateway in gateways]
    if without:
        raise AwsError(
            f"{names[0]} is not in the route tables of {', '.join(without)}: aws ec2 "
            f"modify-vpc-endpoint --vpc-endpoint-id {names[0]} --add-route-table-ids RTB"
        )
    return f"{vpc} reaches S3 through {', '.join(names)} from every subnet"


def check_packages(account: Account, fit: FitSettings) -> str:
    """Check that pip reaches its index from every subnet; return a report.

    A job installs packages unless it has no network. An S3 gateway endpoint is not enough for that.
    Raises AwsError if a subnet has neither a NAT gateway nor [fit] a mirror of its own.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html
    """
    if fit.network_isolation:
        return "jobs install no packages: [fit] has network_isolation"
    if fit.pip_index_url:
        return f"pip uses {fit.pip_index_url}: make sure that the subnets reach it"
    tables = _route_tables(account, _vpc(account))
    without = [name for name, table in tables.items() if not _leaves(table["Routes"])]
    if without:
        raise AwsError(
            f"pip cannot reach PyPI from {', '.join(without)}: route 0.0.0.0/0 to a NAT gateway, "
            "set pip_index_url in [fit] to a mirror in the VPC, or use --network-isolation true "
            "with an image that contains all packages."
        )
    return "pip reaches PyPI from every subnet"


def check_groups(account: Account, fit: FitSettings) -> str:
    """Check that several instances of a job can reach each other; return a report.

    Raises AwsError with the command that adds the rule.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html#train-vpc-groups
    """
    if fit.instance_count == 1:
        return ""
    names = account.settings.security_groups
    groups = account.client("ec2").describe_security_groups(GroupIds=names)["SecurityGroups"]
    admitting = [group["GroupId"] for group in groups if _admits_itself(group)]
    if not admitting:
        raise AwsError(
            f"{fit.instance_count} instances cannot reach each other: no group of "
            f"{', '.join(names)} admits itself. Run aws ec2 authorize-security-group-ingress "
            f"--group-id {names[0]} --protocol -1 --source-group {names[0]}"
        )
    return f"instances reach each other through {', '.join(admitting)}"


def _vpc(account: Account) -> str:
    subnets = account.settings.subnets
    if not subnets:
        raise AwsError("Jobs run outside a VPC: settings.toml has no subnets in [aws].")
    described = account.client("ec2").describe_subnets(SubnetIds=subnets)["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in described})
    if len(vpcs) != 1:
        raise AwsError(f"The subnets must be in one VPC, not in {', '.join(vpcs)}.")
    return str(vpcs[0])


def _route_tables(account: Account, vpc: str) -> dict[str, dict[str, Any]]:
    """Return the route table of each subnet of [aws]."""
    tables = account.client("ec2").describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}]
    )["RouteTables"]
    table_of = {
        association.get("SubnetId", "main"): table
        for table in tables
        for association in table.get("Associations", [])
        if association.get("Main") or "SubnetId" in association
    }
    # A subnet without a route table of its own uses the VPC's main one.
    return {name: table_of.get(name, table_of["main"]) for name in account.settings.subnets}


def _leaves(routes: Iterable[dict[str, Any]]) -> bool:
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and route.get("State", "active") == "active"
        and any(route.get(target) for target in _TARGETS)
        for route in routes
    )


def _admits_itself(group: dict[str, Any]) -> bool:
    # torchrun's workers listen on ports that the kernel chooses
    return any(
        permission["IpProtocol"] in ("-1", "tcp")
        and permission.get("FromPort", 0) <= 1024
        and permission.get("ToPort", 65535) >= 65535
        and any(pair.get("GroupId") == group["GroupId"] for pair in permission["UserIdGroupPairs"])
        for permission in group["IpPermissions"]
    )
