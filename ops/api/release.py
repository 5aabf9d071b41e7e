"""Release the API to a stage: policy, bundle, deployment, smoke test.

A stage with a `.chalice/resources-STAGE.json` (prod) is a CloudFormation stack whose traffic moves
to the new version bit by bit, and back where an alarm rings; the others (dev) go through
`chalice deploy`. Running it again without a change changes nothing. A release that fails its smoke
test fails; in a stack, the release before comes back.

example:
  python -m ops.api.release --stage dev
  python -m ops.api.release --stage prod --dry-run
  python -m ops.api.release --stage prod --rollback
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from aws import account as accounts
from aws import stages
from aws.account import Account, told_in_one_line
from aws.errors import AwsError
from cli.errors import SettingsError
from ops.api import bundle, program, smoke_test
from ops.api.bundle import ROOT, Bundle
from ops.api.chalice_release import ChaliceRelease
from ops.api.stack_release import StackRelease
from training.errors import TrainingError

PATIENCE_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--rollback", action="store_true", help="return to the release before")
    parser.add_argument("--dry-run", action="store_true", help="say what would change")
    parser.add_argument("--force", action="store_true", help="run `chalice deploy` in any case")
    parser.add_argument("--digest", help="deploy the bundle of this SHA-256 and no other")
    parser.add_argument("--smoke-url", help="address for the smoke test, such as your own domain")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, metavar="S", help="of the smoke test"
    )
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    stage = stages.read(arguments.stage).name
    if stage == "local":
        raise SettingsError("the stage local runs on this machine: `make run`")
    account = accounts.open_account(arguments)
    print(f"account {account.id}, {account.region}: stage {stage}", flush=True)
    if stages.has_stack(stage):
        _to_stack(StackRelease(account, stage), account, stage, arguments)
    elif arguments.rollback:
        raise AwsError(
            f"stage {stage} keeps no releases: check out the commit to return to, and "
            f"`make deploy STAGE={stage}`"
        )
    else:
        _to_chalice(ChaliceRelease(account, stage), account, stage, arguments)


def build(account: Account, stage: str, folder: Path, digest: str | None = None) -> Bundle:
    """The stage's policy, generated anew, and the bundle made with it.

    Raises `AwsError` where the bundle is not the one that `digest` names.
    """
    command = [sys.executable, "-m", "training", "policy", "--stage", stage]
    command += ["--account", account.id, "--region", account.region]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise AwsError((ended.stderr.strip() or "training policy failed").splitlines()[-1])
    built = bundle.package(stage, account.region, folder)
    if digest and built.digest != digest:
        raise AwsError(
            f"the bundle is {built.digest}, not {digest}: it was packaged from other sources, "
            "or by another Chalice"
        )
    print(f"bundle {built.digest[:12]}, {len(built.archive)} bytes", flush=True)
    return built


def _to_chalice(
    release: ChaliceRelease, account: Account, stage: str, arguments: argparse.Namespace
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        built = build(account, stage, Path(folder), arguments.digest)
        changed = release.deploy(built, force=arguments.force, dry_run=arguments.dry_run)
    _say(changed, arguments)
    if not arguments.dry_run:
        url = release.url()
        print(smoke_test.check(arguments.smoke_url or url, patience_s=arguments.patience))
        print(url)


def _to_stack(
    release: StackRelease, account: Account, stage: str, arguments: argparse.Namespace
) -> None:
    if arguments.rollback:
        changed = release.roll_back()
    else:
        with tempfile.TemporaryDirectory() as folder:
            built = build(account, stage, Path(folder), arguments.digest)
        changed = release.deploy(built, dry_run=arguments.dry_run)
    _say(changed, arguments)
    if arguments.dry_run:
        return
    url = release.url()
    try:
        said = smoke_test.check(arguments.smoke_url or url, release.api_key(), arguments.patience)
    except AwsError as error:
        if not changed or arguments.rollback:
            raise
        try:
            release.roll_back()
        except TrainingError as second:
            raise AwsError(f"{error}; and it stays released: {second}") from error
        raise AwsError(f"{error}; the release before is back") from error
    print(said)
    print(url)


def _say(changed: bool, arguments: argparse.Namespace) -> None:
    if not changed:
        print("nothing has changed", flush=True)
    elif arguments.dry_run:
        print("this would be deployed", flush=True)


def main(argv: list[str] | None = None) -> int:
    return program.main(
        "deploy",
        __doc__,
        add_arguments,
        run,
        argv,
        interrupted="interrupted; AWS goes on with what it has begun",
    )


if __name__ == "__main__":
    sys.exit(main())
