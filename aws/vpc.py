"""Whether jobs inside a VPC can reach S3."""

from dataclasses import dataclass

from aws.account import Account
from aws.errors import AwsError


@dataclass(frozen=True, slots=True)
class S3Route:
    """How the subnets of a VPC reach S3.

    `gateways` are the ids of S3 gateway endpoints; `without` the subnets whose route tables know
    none of them.
    """

    vpc: str
    gateways: list[str]
    without: list[str]


def s3_route(account: Account) -> S3Route:
    """How the subnets of [cloud] reach S3.

    Raises `AwsError` where no subnets are set or they lie in several VPCs.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html#train-vpc-s3
    """
    wanted = account.settings.subnets
    if not wanted:
        raise AwsError("no subnets in [cloud] of settings.toml: jobs run outside of a VPC")
    ec2 = account.client("ec2")
    vpcs = {one["VpcId"] for one in ec2.describe_subnets(SubnetIds=wanted)["Subnets"]}
    if len(vpcs) != 1:
        raise AwsError(f"the subnets lie in several VPCs: {', '.join(sorted(vpcs))}")
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
    without = [subnet for subnet in wanted if explicit.get(subnet, main) not in served]
    return S3Route(vpc, [endpoint["VpcEndpointId"] for endpoint in endpoints], without)
