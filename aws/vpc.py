"""Find out how jobs inside a VPC reach S3."""

from dataclasses import dataclass

from aws.account import Account
from aws.errors import AwsError


@dataclass(frozen=True, slots=True)
class S3Route:
    """The S3 gateway endpoints of a VPC, and the subnets without a route to one."""

    vpc: str
    gateways: list[str]
    subnets_without: list[str]


def s3_route(account: Account) -> S3Route:
    """Look up how the subnets of [aws] reach S3.

    Raises AwsError if no subnets are set or they are in several VPCs.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html#train-vpc-s3
    """
    subnets = account.settings.subnets
    if not subnets:
        raise AwsError("Jobs run outside a VPC: settings.toml has no subnets in [aws].")
    ec2 = account.client("ec2")
    described = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
    vpcs = {subnet["VpcId"] for subnet in described}
    if len(vpcs) != 1:
        raise AwsError(f"The subnets must be in one VPC, not in {', '.join(sorted(vpcs))}.")
    [vpc] = vpcs
    endpoints = ec2.describe_vpc_endpoints(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "service-name", "Values": [f"com.amazonaws.{account.region}.s3"]},
            {"Name": "vpc-endpoint-type", "Values": ["Gateway"]},
        ]
    )["VpcEndpoints"]
    served = {table for endpoint in endpoints for table in endpoint.get("RouteTableIds", [])}
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    main, explicit = "", dict[str, str]()
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("Main"):
                main = table["RouteTableId"]
            elif "SubnetId" in association:
                explicit[association["SubnetId"]] = table["RouteTableId"]
    # A subnet without a route table of its own uses the VPC's main one.
    subnets_without = [subnet for subnet in subnets if explicit.get(subnet, main) not in served]
    return S3Route(vpc, [endpoint["VpcEndpointId"] for endpoint in endpoints], subnets_without)
