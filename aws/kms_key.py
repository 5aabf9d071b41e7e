"""The policy of the KMS key of [aws]: everyone who reads the bucket must also be allowed here."""

import json
from collections.abc import Sequence
from typing import Any

from aws.account import Account
from aws.errors import AwsError
from aws.policy_statements import USE_KEY, Policy, Statement, account_root, allow, policy


def key_policy(account: Account, roles: Sequence[str], readers: Sequence[str] = ()) -> Policy:
    """Return the key policy for `roles` of this account and all of the accounts `readers`.

    KMS refuses a policy that names a principal that does not exist, so the roles are a condition.
    https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
    """
    root = account_root(account, account.id)
    arns = [account.role_arn(role) for role in roles]
    return policy(
        root | allow("ManageThroughIam", "kms:*", "*"),
        root | allow("UseByRoles", USE_KEY, "*", {"ArnEquals": {"aws:PrincipalArn": arns}}),
        *(read_by(account, reader) for reader in readers),
    )


def read_by(account: Account, reader: str) -> Statement:
    """Return the statement that lets the account `reader` decrypt objects of S3."""
    through = {"StringEquals": {"kms:ViaService": f"s3.{account.region}.{account.dns_suffix}"}}
    actions = ["kms:Decrypt", "kms:DescribeKey"]
    return account_root(account, reader) | allow(f"Read{reader}", actions, "*", through)


def put_statements(account: Account, statements: Sequence[Statement]) -> Policy:
    """Add `statements` to the key's policy, replacing those of the same Sid; return it.

    Raises AwsError if settings.toml has no key.
    """
    if not account.settings.kms_key:
        raise AwsError("settings.toml has no kms_key in [aws].")
    kms = account.client("kms")
    key = {"KeyId": account.settings.kms_key, "PolicyName": "default"}
    document: dict[str, Any] = json.loads(kms.get_key_policy(**key)["Policy"])
    replaced = {statement["Sid"] for statement in statements}
    kept = [each for each in document["Statement"] if each.get("Sid") not in replaced]
    document["Statement"] = [*kept, *statements]
    kms.put_key_policy(**key, Policy=json.dumps(document))
    return document
