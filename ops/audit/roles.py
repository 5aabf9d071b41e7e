"""Roles: what their policies allow too much of, and whether anybody takes them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aws.account import Account
from ops.audit.finding import Finding, Severity
from ops.audit.grants import wildcards

UNUSED = timedelta(days=90)
_AWS_OWN = "/aws-service-role/"


def check(account: Account) -> Iterator[Finding]:
    """Findings about every role of the account but those that AWS keeps itself."""
    for role in roles(account):
        name = role["RoleName"]
        yield from _too_wide(account, name)
        yield from _unused(account, name)


def roles(account: Account) -> Iterator[dict[str, Any]]:
    """The roles of the account that are ours to change."""
    for page in account.client("iam").get_paginator("list_roles").paginate():
        yield from (role for role in page["Roles"] if not role["Path"].startswith(_AWS_OWN))


def documents(account: Account, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the document of each policy of a role, inline and attached."""
    iam = account.client("iam")
    for page in iam.get_paginator("list_role_policies").paginate(RoleName=role):
        for name in page["PolicyNames"]:
            yield name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=role):
        for policy in page["AttachedPolicies"]:
            arn = policy["PolicyArn"]
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=arn, VersionId=version)
            yield policy["PolicyName"], found["PolicyVersion"]["Document"]


def _too_wide(account: Account, role: str) -> Iterator[Finding]:
    for policy, document in documents(account, role):
        if policy.endswith("FullAccess") or policy == "AdministratorAccess":
            yield Finding(
                Severity.HIGH,
                f"role {role}",
                f"holds {policy}",
                f"{_cut(account, role)}, then aws iam detach-role-policy --role-name {role} "
                f"--policy-arn arn:{account.partition}:iam::aws:policy/{policy}",
            )
        elif found := [str(one) for one in wildcards(document)]:
            yield Finding(
                Severity.MEDIUM,
                f"role {role}",
                f"policy {policy} allows {', '.join(found[:3])}"
                + (f" and {len(found) - 3} more" if len(found) > 3 else ""),
                _cut(account, role),
            )


def _unused(account: Account, role: str) -> Iterator[Finding]:
    found = account.client("iam").get_role(RoleName=role)["Role"]
    last = found.get("RoleLastUsed", {}).get("LastUsedDate") or found["CreateDate"]
    if datetime.now(UTC) - last > UNUSED:
        yield Finding(
            Severity.LOW,
            f"role {role}",
            f"was not taken since {last:%Y-%m-%d}",
            f"aws iam delete-role --role-name {role}, after detaching its policies",
        )


def _cut(account: Account, role: str) -> str:
    """The command that makes the least that the role needs, where it is one of ours."""
    ours = {account.settings.training_role: "training", account.settings.serving_role: "serving"}
    if role in ours:
        return f"python -m training policy --role {ours[role]} --apply"
    if role.startswith("whatbreed-ec2"):
        return "python -m training policy --role ec2 --apply"
    if role.startswith("whatbreed-"):
        stage = role.removeprefix("whatbreed-").partition("-")[0]
        return f"python -m training policy --stage {stage}, and deploy the stage again"
    return "name actions and resources in its policy"
