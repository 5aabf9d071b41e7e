"""Take a stage back to nothing, and list what remains with what it costs.

Removes the API, the endpoint with its scaling, alarms and models, its log groups and its roles.
What the stages share goes with the last one: jobs and warm pools, EC2 instances, images, builds,
roles and the budget. The bucket stays with its photos and models unless you pass --data. What
cannot be removed is reported at the end; run it again to resume. An administrator removes the
parts setup and api, operators can remove the part model.

example:
  python -m ops down --stage dev --dry-run
  python -m ops down --stage dev
  python -m ops down --stage dev --data --yes
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from cli import commands, tables
from cli.errors import SettingsError
from ops import deployment as deployments
from ops.deployment import Deployment
from ops.endpoint.teardown import leftovers
from ops.errors import NotRemoved
from ops.lifecycle import confirmation, role_removal, shared_removal, stage_removal
from ops.lifecycle.removal import remove_all
from ops.lifecycle.step import PARTS


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@click.option(
    "--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this. Repeatable."
)
@click.option("--data", is_flag=True, help="Also the bucket: photos, models, checkpoints.")
@commands.yes_option
@commands.dry_run_option
@commands.json_option
@deployments.options
def command(
    deployment: Deployment,
    parts: tuple[str, ...],
    data: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    account, name = deployment.account, deployment.stage.name
    question = f"Remove stage {name} from account {account.id}, {account.region}?"
    if not (dry_run or yes or confirmation.confirmed(question)):
        raise SettingsError("Nothing was removed. Pass --yes, or answer y when prompted.")
    others = shared_removal.other_stages(deployment)
    sources = stage_removal.sources(deployment)
    if not others:
        sources += shared_removal.sources(deployment, data=data)
    result = remove_all(
        [source for source in sources if not parts or source.part in parts],
        dry_run=dry_run,
        log=sys.stderr if as_json else sys.stdout,
    )
    remaining = _remaining(deployment, others, data)
    if as_json:
        print(json.dumps({**asdict(result), "left": remaining}, indent=2))
    else:
        print(_text(result.removed, remaining))
    if result.failed:
        raise NotRemoved(f"Could not remove {', '.join(result.failed)}: see the reasons above.")


def _remaining(deployment: Deployment, others: list[str], data: bool) -> list[dict[str, Any]]:
    """Return what stays, with its monthly cost in US dollars."""
    left = leftovers(deployment.account, deployment.serving.repository)
    if others:
        what = f"everything that stage {', '.join(others)} shares"
        left.append({"what": what, "size_bytes": 0, "usd_per_month": 0.0})
    if data and others:
        what = f"bucket {deployment.account.bucket}: stage {', '.join(others)} uses it"
        left.append({"what": what, "size_bytes": 0, "usd_per_month": 0.0})
    for policy in role_removal.attached_policies(deployment.account):
        what = f"policy {policy}, which is attached"
        left.append({"what": what, "size_bytes": 0, "usd_per_month": 0.0})
    return left


def _text(removed: list[str], remaining: list[dict[str, Any]]) -> str:
    lines = [] if removed else ["nothing is left to remove"]
    rows = [
        (item["what"], f"{item['size_bytes'] / 1e9:.3f}", f"${item['usd_per_month']:.2f}")
        for item in remaining
    ]
    if rows:
        total = sum(item["usd_per_month"] for item in remaining)
        rows.append(("total", "-", f"${total:.2f}"))
        lines.append(tables.render(("remaining", "GB", "per month"), rows))
    else:
        lines.append("nothing remains")
    return "\n".join(lines)
