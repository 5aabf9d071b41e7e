"""Remove the API of a stage and everything `ops api release` created for it.

The endpoint stays. To remove it, run `python -m ops endpoint teardown --stage STAGE`.

example:
  python -m ops api remove --stage dev --dry-run
  python -m ops api remove --stage prod --yes
"""

import sys

import click

from aws import account as accounts
from aws.account import Account
from cli import commands
from cli.errors import SettingsError
from ops.api.release import open_release


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@commands.yes_option
@commands.dry_run_option
@accounts.options()
def command(account: Account, stage: str, yes: bool, dry_run: bool) -> None:
    release = open_release(account, stage)
    api = f"the API of stage {stage} in account {account.id}, {account.region}"
    if dry_run:
        print(f"Would remove {api}, its logs and its stored releases.")
        return
    if not yes and not _confirmed(api, stage):
        raise SettingsError(f"Not removed: {api}. Pass --yes, or type the stage when prompted.")
    release.delete()
    print(f"Removed {api}.")


def _confirmed(api: str, stage: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"Remove {api}? Type {stage} to confirm: ").strip() == stage
