"""Audit S3 buckets: public access, default encryption, TLS."""

import json
from collections.abc import Iterator
from typing import Any

from aws.account import Account, or_none
from ops.audit.finding import Finding, Severity

_PUBLIC_GROUPS = ("AllUsers", "AuthenticatedUsers")


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about every bucket of the account."""
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        yield from _check_one(account, bucket["Name"])


def _check_one(account: Account, bucket: str) -> Iterator[Finding]:
    s3 = account.client("s3")
    fix = f"python -m training upload --create-bucket --bucket {bucket}"
    resource = f"bucket {bucket}"
    block = or_none(lambda: s3.get_public_access_block(Bucket=bucket))
    blocked = block and all(block["PublicAccessBlockConfiguration"].values())
    policy = or_none(lambda: s3.get_bucket_policy(Bucket=bucket))
    statements = json.loads(policy["Policy"])["Statement"] if policy else []
    if not blocked and (any(map(_is_public, statements)) or _has_public_grant(s3, bucket)):
        yield Finding(Severity.HIGH, resource, "is public", fix)
    elif not blocked:
        yield Finding(Severity.MEDIUM, resource, "does not block public access", fix)
    if not or_none(lambda: s3.get_bucket_encryption(Bucket=bucket)):
        yield Finding(Severity.MEDIUM, resource, "has no default encryption", fix)
    if not any(map(_requires_tls, statements)):
        yield Finding(Severity.LOW, resource, "accepts requests without TLS", fix)


def _is_public(statement: dict[str, Any]) -> bool:
    return (
        statement["Effect"] == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not statement.get("Condition")
    )


def _has_public_grant(s3: Any, bucket: str) -> bool:
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    return any(grant["Grantee"].get("URI", "").endswith(_PUBLIC_GROUPS) for grant in grants)


def _requires_tls(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return bool(statement["Effect"] == "Deny" and condition.get("aws:SecureTransport") == "false")
