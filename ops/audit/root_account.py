"""Audit the root user: MFA and access keys."""

from collections.abc import Iterator

from aws.account import Account
from ops.audit.finding import Finding, Severity

_FIX = "as root: IAM console, Security credentials, "


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about the root user, from IAM's account summary."""
    summary = account.client("iam").get_account_summary()["SummaryMap"]
    if not summary.get("AccountMFAEnabled"):
        yield Finding(Severity.HIGH, "root user", "has no MFA", f"{_FIX}Assign MFA device")
    if summary.get("AccountAccessKeysPresent"):
        problem = "has access keys with unlimited permissions"
        yield Finding(Severity.HIGH, "root user", problem, f"{_FIX}delete the keys")
