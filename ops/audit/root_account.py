"""Audit the root user: MFA and access keys."""

from collections.abc import Iterator

from aws.account import Account
from ops.audit.finding import Finding, Severity


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about the root user, from IAM's account summary."""
    summary = account.client("iam").get_account_summary()["SummaryMap"]
    if not summary.get("AccountMFAEnabled"):
        yield Finding(
            Severity.HIGH,
            "root user",
            "has no MFA",
            "as root: IAM console, Security credentials, Assign MFA device",
        )
    if summary.get("AccountAccessKeysPresent"):
        yield Finding(
            Severity.HIGH,
            "root user",
            "has access keys with unlimited permissions",
            "as root: IAM console, Security credentials, delete the keys",
        )
