"""Audit the account for cost, exposure and misconfiguration, with a fix for each finding.

Checks roles with FullAccess or wildcard policies and roles unused for 90 days; a root user without
MFA or with access keys; functions whose role allows more than they need; endpoints without
autoscaling, encryption or network isolation; public or unencrypted buckets; the concurrency of the
API against the capacity of the endpoint. The exit code is 1 if there are findings. A check that AWS
does not permit is a finding.

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
from cli import commands
from ops.audit import buckets, capacity, endpoints, functions, roles, root_account
from ops.audit.finding import Finding, Severity
from ops.errors import FindingsError

Check = Callable[[Account], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "root": root_account.check,
    "roles": roles.check,
    "functions": functions.check,
    "endpoints": endpoints.check,
    "buckets": buckets.check,
    "capacity": capacity.check,
}


@commands.command(__doc__)
@click.option("--only", type=click.Choice(list(CHECKS)), multiple=True, help="Run only this check.")
@commands.json_option
@accounts.options()
def command(account: Account, only: tuple[str, ...], as_json: bool) -> None:
    findings = list(audit(account, only or tuple(CHECKS)))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(render(findings))
    if findings:
        raise FindingsError(f"{len(findings)} findings")


def audit(account: Account, names: Sequence[str]) -> Iterator[Finding]:
    """The findings of the named checks, the gravest first.

    A check that AWS does not permit is a finding itself: silence would look like health.
    """
    account.id  # noqa: B018 (asked first, so that missing credentials are an error, no finding)
    found: list[Finding] = []
    for name in names:
        try:
            found += CHECKS[name](account)
        except ClientError as error:
            found.append(
                Finding(
                    Severity.MEDIUM,
                    f"the check of {name}",
                    f"could not be made: {explain(error)}",
                    "run audit as somebody with the policy SecurityAudit",
                )
            )
    yield from sorted(found, key=lambda finding: (finding.severity, finding.resource))


def render(findings: list[Finding]) -> str:
    """The findings as a table, each with the command that mends it below."""
    if not findings:
        return "no findings"
    width = max(len(finding.resource) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(
            f"{Severity(finding.severity).name:<7} {finding.resource:<{width}}  {finding.problem}"
        )
        lines.append(f"{'':<7} {'':<{width}}  mend: {finding.mend}")
    return "\n".join(lines)
