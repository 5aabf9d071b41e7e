"""Bring a stage up: from an empty account to a URL that answers.

Runs the doctor, shows the monthly cost and asks once. Then it creates what is missing: bucket,
roles and budget (part setup), image, endpoint and scaling (part model), the API with a smoke test
(part api). If interrupted, run it again to resume: what is done is skipped, and what is in service
is left as it is. An administrator runs the part setup, operators can run the others.

example:
  python -m ops up --stage dev --dry-run
  python -m ops up --stage dev
  python -m ops up --stage prod --part setup --releaser arn:aws:iam::123456789012:user/NAME
"""

import click

from cli import commands
from cli.errors import SettingsError
from ops import deployment as deployments
from ops.api import smoke_test
from ops.deployment import Deployment
from ops.doctor import report
from ops.lifecycle import api, confirmation, monthly_cost, serving, setup
from ops.lifecycle.step import PARTS, run_all


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@click.option(
    "--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this. Repeatable."
)
@click.option(
    "--repository",
    default="",
    help="OWNER@ID/NAME@ID on GitHub whose pipeline may release.",
)
@click.option(
    "--releaser",
    "releasers",
    multiple=True,
    metavar="ARN",
    help="User or role that may release. Repeatable.",
)
@click.option("--smoke-url", help="URL for the smoke test, for example your own domain.")
@smoke_test.patience_option
@commands.yes_option
@commands.dry_run_option
@deployments.options
def command(
    deployment: Deployment,
    parts: tuple[str, ...],
    repository: str,
    releasers: tuple[str, ...],
    smoke_url: str | None,
    patience: float,
    yes: bool,
    dry_run: bool,
) -> None:
    lines = report.examine(deployment)
    print(report.summary(lines))
    account, name = deployment.account, deployment.stage.name
    if not dry_run:
        report.refuse_if_blocked(lines)
    print(f"\n{monthly_cost.text(deployment)}\n")
    question = f"Bring stage {name} up in account {account.id}, {account.region}?"
    if not (dry_run or yes or confirmation.confirmed(question)):
        raise SettingsError("Nothing was created. Pass --yes, or answer y when prompted.")
    steps = [
        *setup.steps(deployment, repository, releasers),
        *serving.steps(deployment),
        *api.steps(deployment, smoke_url, patience),
    ]
    run_all([step for step in steps if not parts or step.part in parts], dry_run=dry_run)
