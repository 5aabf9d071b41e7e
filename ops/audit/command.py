"""Look over the account for what costs, leaks or breaks, and say which command mends it.

Roles with FullAccess or wildcard policies and roles unused for 90 days; root without MFA or with
access keys; functions whose role can do more than they need; endpoints without autoscaling,
encryption or network isolation; public or unencrypted buckets; the API's concurrency against the
endpoint's capacity. Exit code 1 where something is found. What may not be looked at is said, not
passed over.

example:
  python -m training audit
  python -m training audit --json
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

from botocore.exceptions import ClientError

from aws import account as accounts
from aws.account import Account, explain, told_in_one_line
from ops.audit import buckets, capacity, endpoints, functions, roles, root_account
from ops.audit.finding import Finding, Severity
from training.errors import FindingsError

Check = Callable[[Account], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "root": root_account.check,
    "roles": roles.check,
    "functions": functions.check,
    "endpoints": endpoints.check,
    "buckets": buckets.check,
    "capacity": capacity.check,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=CHECKS, action="append", help="this check; repeatable")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    accounts.add_options(parser)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    findings = list(audit(account, arguments.only or list(CHECKS)))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(render(findings))
    if findings:
        raise FindingsError(f"{len(findings)} findings")


def audit(account: Account, names: list[str]) -> Iterator[Finding]:
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
