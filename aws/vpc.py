"""Check that jobs inside a VPC can reach S3."""

from aws.account import Account
from aws.errors import AwsError


def check_s3_route(account: Account) -> str:
    """Check that every subnet of [aws] has a route to an S3 gateway endpoint; return a report.

    Raises AwsError with the command that adds what is missing.
    https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html#train-vpc-s3
    """
    subnets = account.settings.subnets
    if not subnets:
        raise AwsError("Jobs run outside a VPC: settings.toml has no subnets in [aws].")
    ec2 = account.client("ec2")
    vpcs = {subnet["VpcId"] for subnet in ec2.describe_subnets(SubnetIds=subnets)["Subnets"]}
    if len(vpcs) != 1:
        raise AwsError(f"The subnets must be in one VPC, not in {', '.join(sorted(vpcs))}.")
    [vpc] = vpcs
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
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    table_of = {
        association.get("SubnetId", "main"): table["RouteTableId"]
        for table in tables
        for association in table.get("Associations", [])
        if association.get("Main") or "SubnetId" in association
    }
    served = {table for gateway in gateways for table in gateway.get("RouteTableIds", [])}
    # A subnet without a route table of its own uses the VPC's main one.
    without = [name for name in subnets if table_of.get(name, table_of.get("main")) not in served]
    names = [gateway["VpcEndpointId"] for gateway in gateways]
    if without:
        raise AwsError(
            f"{names[0]} is not in the route tables of {', '.join(without)}: aws ec2 "
            f"modify-vpc-endpoint --vpc-endpoint-id {names[0]} --add-route-table-ids RTB"
        )
    return f"{vpc} reaches S3 through {', '.join(names)} from every subnet"
