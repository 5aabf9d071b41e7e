"""Audit the account for cost, exposure and misconfiguration, with a fix for each finding.

Finds roles with FullAccess or wildcard policies, and roles unused for 90 days; a root user without
MFA or with access keys; functions whose role allows more than they need, or that reserve
concurrency without using it; endpoints without a request for a week, or without autoscaling,
encryption or network isolation; machines that run and cost: EC2 and notebook instances, Studio
apps; security groups open to the world; public or unencrypted buckets; log groups without
retention; an API whose concurrency exceeds the capacity of its endpoint. One region is checked:
the configured one. The exit code is 1 if there are findings. A check that AWS refuses is a finding.

example:
  python -m ops audit
  python -m ops audit --only roles --only buckets --json
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import click
from botocore.exceptions import ClientError

from aws import account as accounts
from aws.account import Account, explain
from cli import commands, tables
from ops.audit import (
    buckets,
    capacity,
    endpoints,
    functions,
    log_groups,
    machines,
    roles,
    root_account,
    security_groups,
)
from ops.audit.finding import Finding, Severity
from ops.errors import FindingsError

Check = Callable[[Account], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "root": root_account.check,
    "roles": roles.check,
    "functions": functions.check,
    "endpoints": endpoints.check,
    "machines": machines.check,
    "security-groups": security_groups.check,
    "buckets": buckets.check,
    "logs": log_groups.check,
    "capacity": capacity.check,
}


@commands.command(__doc__)
@click.option(
    "--only", type=click.Choice(list(CHECKS)), multiple=True, help="Run only these checks."
)
@commands.json_option
@accounts.options()
def command(account: Account, only: tuple[str, ...], as_json: bool) -> None:
    findings = audit(account, only or tuple(CHECKS))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(render(findings))
    if findings:
        raise FindingsError(f"Number of findings: {len(findings)}.")


def audit(account: Account, names: Sequence[str]) -> list[Finding]:
    """Run the named checks and return their findings, the most severe first.

    A check that AWS refuses is a finding too, so that it is not mistaken for a passed one.
    """
    account.id  # noqa: B018 (fails here, and not as a finding, if credentials are missing)
    findings: list[Finding] = []
    for name in names:
        try:
            findings += CHECKS[name](account)
        except ClientError as error:
            problem = f"could not run: {explain(error)}"
            fix = "run audit with AWS's managed policies SecurityAudit and ViewOnlyAccess"
            findings.append(Finding(Severity.MEDIUM, f"check {name}", problem, fix))
    return sorted(findings, key=lambda finding: (finding.severity, finding.resource))


def render(findings: Sequence[Finding]) -> str:
    """Return the findings as a table, each with its fix in the next line."""
    if not findings:
        return "no findings"
    rows = []
    for finding in findings:
        rows += [
            (finding.severity.name, finding.resource, finding.problem),
            ("", "", f"fix: {finding.fix}"),
        ]
    return tables.render(("severity", "resource", "problem"), rows)
