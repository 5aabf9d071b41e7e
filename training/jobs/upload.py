"""Copy a folder of photos to S3, in parallel and only what is missing there or has changed.

If interrupted, run it again to resume. --create-bucket also creates the bucket: private, encrypted,
TLS only. --grant prints the policy that lets another AWS account read the photos; with --apply it
is set, for the bucket and its KMS key. Both need an administrator. --check-network reports whether
training jobs in the VPC of settings.toml can reach S3, Python packages and each other.

example:
  python -m training upload --data photos --create-bucket
  python -m training upload --grant 210987654321 --apply
"""

import json
import sys
from pathlib import Path

import click

from aws import account as accounts
from aws import kms_key, policy_statements, s3_storage, vpc
from aws.account import Account
from aws.s3_layout import DATA
from aws.settings import FitSettings
from cli import commands
from training import folder_layout
from training.errors import DataError


@commands.command(__doc__)
@click.option("--data", type=click.Path(path_type=Path), help="Folder to copy.")
@click.option("--create-bucket", is_flag=True, help="Create and secure the bucket.")
@click.option("--grant", metavar="ACCOUNT", help="Print the policy for this account to read.")
@click.option("--apply", is_flag=True, help="With --grant: set the policy.")
@click.option(
    "--check-network", is_flag=True, help="Check the VPC of jobs: S3, packages, instances."
)
@commands.dry_run_option
@accounts.options(without_options=[FitSettings])
def command(
    account: Account,
    data: Path | None,
    create_bucket: bool,
    grant: str | None,
    apply: bool,
    check_network: bool,
    dry_run: bool,
    fit: FitSettings,
) -> None:
    if not (data or create_bucket or grant or check_network):
        raise DataError("Nothing to do: name a folder with --data, or see --help.")
    if data and not data.is_dir():
        raise DataError(f"Folder {data} does not exist.")
    if data and not folder_layout.has_photos(data):
        suffixes = ", ".join(sorted(folder_layout.SUFFIXES))
        raise DataError(f"{data} has no photos ({suffixes}).")
    if check_network:
        print(vpc.check(account, fit))
    if create_bucket:
        _create_bucket(account, dry_run)
    if grant:
        _grant(account, grant, apply=apply and not dry_run)
    if data:
        _copy(account, data, dry_run)


def _create_bucket(account: Account, dry_run: bool) -> None:
    if dry_run:
        action = (
            "would secure existing" if s3_storage.exists(account) else "would create and secure"
        )
    else:
        created = s3_storage.create_bucket(account)
        action = "created and secured" if created else "secured existing"
    print(f"{action} bucket {account.bucket}: private, encrypted, TLS only")


def _grant(account: Account, reader: str, *, apply: bool) -> None:
    statements = s3_storage.read_by(account, reader, f"{account.settings.prefix}/{DATA}")
    key = account.settings.kms_key
    if apply:
        s3_storage.put_statements(account, statements)
        if key:  # without it, every read of an encrypted object is refused
            kms_key.put_statements(account, [kms_key.read_by(account, reader)])
        print(f"account {reader} may read {account.uri(DATA)}; its administrator must allow it too")
        data_key = f' and data_key = "{key}"' if key else ""
        print(
            f'there: set data = "{account.uri(DATA)}"{data_key} in [fit] of settings.toml, then '
            "python -m ops policy --role training --apply"
        )
    else:
        policy = policy_statements.policy(s3_storage.tls_only(account), *statements)
        print(json.dumps(policy, indent=2))
        if key:
            command = f"python -m ops policy --role key --reader {reader}"
            print(f"The key's policy must admit {reader}, too: {command}", file=sys.stderr)


def _copy(account: Account, folder: Path, dry_run: bool) -> None:
    if dry_run and not s3_storage.exists(account):
        print(f"would send all of {folder}: bucket {account.bucket} does not exist yet")
        return
    s3_storage.require(account)
    changed = s3_storage.changes(account, folder, f"{account.settings.prefix}/{DATA}")
    megabytes = sum(path.stat().st_size for path in changed.values()) / 1e6
    if dry_run:
        print(f"would send {len(changed)} files, {megabytes:.1f} MB, to {account.uri(DATA)}")
        return
    s3_storage.send(account, changed)
    print(f"{account.uri(DATA)} is up to date: sent {len(changed)} files, {megabytes:.1f} MB")
