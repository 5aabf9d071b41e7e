"""Release the API to a stage: generate the policy, package, deploy, run the smoke test.

A stage with `.chalice/resources-STAGE.json` (prod) is a CloudFormation stack: traffic shifts to the
new version gradually, and back if an alarm fires. Other stages (dev) use `chalice deploy`. If
nothing changed, only the smoke test runs. If the smoke test fails, so does the release, and a stack
returns to the previous one. A stack whose release is interrupted is rolled back, too; --cancel does
that for a release that another process has started.

example:
  python -m ops api release --stage dev
  python -m ops api release --stage prod --dry-run
  python -m ops api release --stage prod --rollback
  python -m ops api release --stage prod --cancel
"""

import json
import re
import tempfile
from pathlib import Path

import click

from aws import account as accounts
from aws import role_policies, stages
from aws.account import Account
from aws.errors import AwsError
from cli import commands
from cli.errors import CommandError, SettingsError
from cli.files import write_atomically
from ops.api import bundle, smoke_test
from ops.api.bundle import Bundle
from ops.api.chalice_release import ChaliceRelease
from ops.api.stack_release import StackRelease


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@click.option("--rollback", is_flag=True, help="Return to the previous release.")
@click.option("--cancel", is_flag=True, help="Stop a release in progress and roll it back.")
@commands.dry_run_option
@click.option("--force", is_flag=True, help="Run `chalice deploy` even if nothing changed.")
@click.option("--digest", help="Fail if the SHA-256 of the bundle is not this one.")
@click.option("--smoke-url", help="URL for the smoke test, for example your own domain.")
@smoke_test.patience_option
@accounts.options()
def command(
    account: Account,
    stage: str,
    rollback: bool,
    cancel: bool,
    dry_run: bool,
    force: bool,
    digest: str | None,
    smoke_url: str | None,
    patience: float,
) -> None:
    # An empty one, of a pipeline whose packaging failed, must not pass as none.
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
        raise SettingsError(f'--digest is "{digest}", not a SHA-256 of 64 hexadecimal digits.')
    release = open_release(account, stage)
    print(f"Stage {stage} in account {account.id}, {account.region}", flush=True)
    if cancel:
        print("Would stop a release in progress." if dry_run else release.cancel())
        return
    if rollback:
        changed = release.roll_back(dry_run=dry_run)
    else:
        built = build(account, stage, digest)
        changed = release.deploy(built, force=force, dry_run=dry_run)
    if not changed:
        print("Nothing changed.", flush=True)
    elif dry_run:
        print("This would be deployed.")
    if dry_run:
        return
    url = release.url()
    try:
        print(smoke_test.check(smoke_url or url, release.api_key(), patience))
    except AwsError as error:
        if changed and not rollback and isinstance(release, StackRelease):
            _undo(release, error)
        raise
    print(browsers(stage))
    print(url)


def browsers(stage: str) -> str:
    """Return which web pages may call the stage's API, in a sentence."""
    origin = stages.Config.read().environment(stage).get("CORS_ALLOW_ORIGIN", "")
    if origin == "*":
        return "Web pages of any origin may call the API."
    if origin:
        return f"Web pages of {origin} may call the API, those of other origins may not."
    return "No web page of another origin may call the API: set CORS_ALLOW_ORIGIN to allow one."


def open_release(account: Account, stage: str) -> ChaliceRelease | StackRelease:
    """Return the release of `stage`. Raise SettingsError for an unknown or the local stage."""
    if stages.read(stage).name == "local":
        raise SettingsError("Stage local runs on this machine only: `make run`.")
    kind = StackRelease if stages.has_stack(stage) else ChaliceRelease
    return kind(account, stage)


def build(account: Account, stage: str, digest: str | None = None) -> Bundle:
    """Generate the stage's policy and package the bundle with it.

    Raises AwsError if `digest` is given and is not the bundle's.
    """
    policy = role_policies.lambda_(account, stages.read(stage))
    path = stages.folder() / f"policy-{stage}.json"
    write_atomically(path, json.dumps(policy, indent=2) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        built = bundle.package(stage, account.region, Path(folder))
    if digest and built.digest != digest:
        raise AwsError(
            f"The SHA-256 of the bundle is {built.digest}, not {digest}: the sources or Chalice's "
            "version differ from those of the packaged bundle."
        )
    print(f"Bundle {built.digest[:12]}, {len(built.archive)} bytes", flush=True)
    return built


def _undo(release: StackRelease, error: AwsError) -> None:
    """Roll back after a failed smoke test and raise AwsError with the result."""
    try:
        release.roll_back()
    except CommandError as second:
        raise AwsError(f"{error} The new release stays deployed: {second}") from error
    raise AwsError(f"{error} The previous release has been restored.") from error
