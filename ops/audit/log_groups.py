"""Audit CloudWatch log groups: retention."""

from collections.abc import Iterator

from aws.account import Account
from ops.audit.finding import Finding, Severity


def check(account: Account) -> Iterator[Finding]:
    """Yield a finding for each log group that keeps its logs forever."""
    pages = account.client("logs").get_paginator("describe_log_groups").paginate()
    for group in pages.search("logGroups[]"):
        if "retentionInDays" not in group:
            name = group["logGroupName"]
            megabytes = group.get("storedBytes", 0) / 1e6
            fix = f"aws logs put-retention-policy --log-group-name {name} --retention-in-days 30"
            problem = f"keeps its logs forever; it has {megabytes:.1f} MB"
            yield Finding(Severity.LOW, f"log group {name}", problem, fix)
