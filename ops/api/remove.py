"""Remove the API of a stage and everything that `deploy` made for it.

The model's endpoint is another thing: `python -m training teardown --stage STAGE` removes that.

example:
  python -m ops.api.remove --stage dev
  python -m ops.api.remove --stage prod --yes
"""

import argparse
import sys

from aws import account as accounts
from aws import stages
from aws.account import told_in_one_line
from cli.errors import SettingsError
from ops.api import program
from ops.api.chalice_release import ChaliceRelease
from ops.api.stack_release import StackRelease


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    stage = stages.read(arguments.stage).name
    account = accounts.open_account(arguments)
    where = f"stage {stage} of account {account.id}, {account.region}"
    if not arguments.yes and not _agreed(where, stage):
        raise SettingsError(f"{where} stays: say --yes, or type its name when asked")
    if stages.has_stack(stage):
        StackRelease(account, stage).delete()
    else:
        ChaliceRelease(account, stage).delete()
    print(f"{where}: the API is removed")


def _agreed(where: str, stage: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"Remove the API of {where}? Type {stage}: ").strip() == stage


def main(argv: list[str] | None = None) -> int:
    return program.main("undeploy", __doc__, add_arguments, run, argv)


if __name__ == "__main__":
    sys.exit(main())
