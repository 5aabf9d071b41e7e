"""Check everything about a stage that can be known before it costs money, with a fix for each line.

Looks at credentials, settings, quotas, roles, policies, bucket, network, serving image, budget and
alarms, and changes nothing. `ok` is ready, `to do` is created by `up`, `warning` works but should
be changed, `unknown` could not be checked, and `blocks` stops `up` and makes the exit code 1.

example:
  python -m ops doctor --stage dev
  python -m ops doctor --stage prod --json
"""

import json
from dataclasses import asdict

import click

from cli import commands
from ops import deployment as deployments
from ops.deployment import Deployment
from ops.doctor import report


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage of .chalice/config.json.")
@commands.json_option
@deployments.options
def command(deployment: Deployment, as_json: bool) -> None:
    lines = report.examine(deployment)
    if as_json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        print(report.text(lines))
    report.refuse_if_blocked(lines)
