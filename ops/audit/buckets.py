"""Buckets: public, unencrypted, or open to calls without TLS."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from ops.audit.finding import Finding, Severity

_EVERYBODY = ("AllUsers", "AuthenticatedUsers")


def check(account: Account) -> Iterator[Finding]:
    """Findings about every bucket of the account."""
    for bucket in account.client("s3").list_buckets()["Buckets"]:
        yield from _check_one(account, bucket["Name"])


def _check_one(account: Account, bucket: str) -> Iterator[Finding]:
    s3 = account.client("s3")
    mend = f"python -m training upload --create-bucket --bucket {bucket}"
    resource = f"bucket {bucket}"
    block = _or_none(lambda: s3.get_public_access_block(Bucket=bucket))
    blocked = block and all(block["PublicAccessBlockConfiguration"].values())
    policy = _or_none(lambda: s3.get_bucket_policy(Bucket=bucket))
    document = json.loads(policy["Policy"]) if policy else {"Statement": []}
    if not blocked and (_is_public(document) or _grants_everybody(s3, bucket)):
        yield Finding(Severity.HIGH, resource, "is public", mend)
    elif not blocked:
        yield Finding(Severity.MEDIUM, resource, "could be made public: nothing blocks it", mend)
    if not _or_none(lambda: s3.get_bucket_encryption(Bucket=bucket)):
        yield Finding(Severity.MEDIUM, resource, "does not encrypt by default", mend)
    if not any(_refuses_plain_text(statement) for statement in document["Statement"]):
        yield Finding(Severity.LOW, resource, "answers calls without TLS", mend)


def _is_public(document: dict[str, Any]) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not statement.get("Condition")
        for statement in document["Statement"]
    )


def _grants_everybody(s3: Any, bucket: str) -> bool:
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    return any(grant["Grantee"].get("URI", "").endswith(_EVERYBODY) for grant in grants)


def _refuses_plain_text(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return bool(statement["Effect"] == "Deny" and condition.get("aws:SecureTransport") == "false")


def _or_none(call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return call()
    except ClientError as error:
        if is_missing(error):
            return None
        raise
