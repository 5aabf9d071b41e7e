"""A VPC for jobs."""

from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.emulator.fixtures import REGION, Change


@dataclass(frozen=True)
class Network:
    """A VPC with one subnet and one security group, which settings.toml names."""

    vpc: str
    subnet: str
    group: str

    @property
    def route_table(self) -> str:
        filters = [{"Name": "vpc-id", "Values": [self.vpc]}]
        [table] = boto3.client("ec2").describe_route_tables(Filters=filters)["RouteTables"]
        return str(table["RouteTableId"])

    def add_s3_endpoint(self) -> str:
        """Create a gateway endpoint for S3, without a route table."""
        endpoint: dict[str, Any] = boto3.client("ec2").create_vpc_endpoint(
            VpcId=self.vpc, ServiceName=f"com.amazonaws.{REGION}.s3", VpcEndpointType="Gateway"
        )
        return str(endpoint["VpcEndpoint"]["VpcEndpointId"])

    def add_route(self, **target: str) -> None:
        """Route everything to a gateway: `NatGatewayId=…` or `GatewayId=…`."""
        boto3.client("ec2").create_route(
            RouteTableId=self.route_table, DestinationCidrBlock="0.0.0.0/0", **target
        )

    def add_nat(self) -> None:
        gateway = boto3.client("ec2").create_nat_gateway(SubnetId=self.subnet)
        self.add_route(NatGatewayId=gateway["NatGateway"]["NatGatewayId"])


@pytest.fixture
def vpc(aws: None, change_settings: Change) -> Network:
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)["GroupId"]
    change_settings("aws", subnets=[subnet], security_groups=[group])
    return Network(vpc, subnet, group)
