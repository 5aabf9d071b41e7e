"""Copy a folder of photos to S3: side by side, and only what is not there yet.

Broken off and started again it goes on. --create-bucket also creates the bucket: encrypted, without
public access, TLS only. --grant prints the policy that lets another AWS account read the photos,
--apply sets it. --check-network says whether jobs inside the VPC of settings.toml can reach S3.

example:
  python -m training upload --data ../shared/photos --create-bucket
  python -m training upload --grant 210987654321 --apply
"""

import argparse
import json
from pathlib import Path

from aws import account as accounts
from aws import s3_storage, vpc
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from aws.s3_layout import DATA
from training.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="folder to copy")
    parser.add_argument("--create-bucket", action="store_true", help="create and shut the bucket")
    parser.add_argument("--grant", metavar="ACCOUNT", help="print who else may read: 12 digits")
    parser.add_argument("--apply", action="store_true", help="with --grant: set the policy")
    parser.add_argument("--check-network", action="store_true", help="can the VPC reach S3?")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    if not (
        arguments.data or arguments.create_bucket or arguments.grant or arguments.check_network
    ):
        raise DataError("nothing to do: name a folder with --data, or see --help")
    if arguments.data and not arguments.data.is_dir():
        raise DataError(f"{arguments.data} is no folder: name the photos with --data")
    if arguments.check_network:
        _check_network(account)
    if arguments.create_bucket:
        _create_bucket(account, arguments.dry_run)
    if arguments.grant:
        _grant(account, arguments.grant, apply=arguments.apply and not arguments.dry_run)
    if arguments.data:
        _copy(account, arguments.data, arguments.dry_run)


def _create_bucket(account: Account, dry_run: bool) -> None:
    if dry_run:
        there = (
            "exists, would be shut" if s3_storage.exists(account) else "would be created and shut"
        )
        print(f"bucket {account.bucket} {there}: private, encrypted, TLS only")
        return
    created = s3_storage.create_bucket(account)
    print(
        f"bucket {account.bucket} {'created' if created else 'was there'}: "
        "private, encrypted, TLS only"
    )


def _grant(account: Account, reader: str, *, apply: bool) -> None:
    statements = s3_storage.read_by(account, reader, f"{account.settings.prefix}/{DATA}")
    if apply:
        s3_storage.put_statements(account, statements)
        print(f"account {reader} may read {account.uri(DATA)}; its administrator must allow it too")
    else:
        policy = {"Version": "2012-10-17", "Statement": [s3_storage.tls_only(account), *statements]}
        print(json.dumps(policy, indent=2))


def _copy(account: Account, folder: Path, dry_run: bool) -> None:
    if not s3_storage.exists(account):
        if dry_run:
            print(f"bucket {account.bucket} does not exist yet: all of {folder} would be sent")
            return
        raise AwsError(f"bucket {account.bucket} does not exist: add --create-bucket")
    wanted = s3_storage.changes(account, folder, f"{account.settings.prefix}/{DATA}")
    megabytes = sum(change.size_bytes for change in wanted) / 1e6
    if dry_run:
        print(f"would send {len(wanted)} files, {megabytes:.1f} MB, to {account.uri(DATA)}")
        return
    s3_storage.send(account, wanted)
    print(f"{account.uri(DATA)} is up to date: sent {len(wanted)} files, {megabytes:.1f} MB")


def _check_network(account: Account) -> None:
    route = vpc.s3_route(account)
    if not route.gateways:
        raise AwsError(
            f"{route.vpc} has no S3 gateway endpoint; it is free: aws ec2 create-vpc-endpoint "
            f"--vpc-id {route.vpc} --service-name com.amazonaws.{account.region}.s3 "
            "--route-table-ids RTB"
        )
    if route.without:
        raise AwsError(
            f"{route.gateways[0]} is not in the route tables of {', '.join(route.without)}: "
            f"aws ec2 modify-vpc-endpoint --vpc-endpoint-id {route.gateways[0]} "
            "--add-route-table-ids RTB"
        )
    print(f"{route.vpc} reaches S3 through {', '.join(route.gateways)} from every subnet")
