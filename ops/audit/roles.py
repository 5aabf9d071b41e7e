"""Audit IAM roles: excessive permissions, and unused roles."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aws import stages
from aws.account import Account
from ops.audit.finding import Finding, Severity
from ops.audit.policy_analysis import summarize, wildcards
from ops.iam.policy import SERVICE_ROLES

UNUSED_AFTER = timedelta(days=90)
_SERVICE_LINKED = "/aws-service-role/"


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about every role of the account that is not service-linked."""
    for role in account.client("iam").get_paginator("list_roles").paginate().search("Roles[]"):
        if not role["Path"].startswith(_SERVICE_LINKED):
            yield from _check_policies(account, role["RoleName"])
            yield from _check_use(account, role["RoleName"])


def policies(account: Account, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the document of each policy of a role, inline and attached."""
    iam = account.client("iam")
    inline = iam.get_paginator("list_role_policies").paginate(RoleName=role)
    for name in inline.search("PolicyNames[]"):
        yield name, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=role)
    for policy in attached.search("AttachedPolicies[]"):
        arn = policy["PolicyArn"]
        default = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        version = iam.get_policy_version(PolicyArn=arn, VersionId=default)["PolicyVersion"]
        yield policy["PolicyName"], version["Document"]


def _check_policies(account: Account, role: str) -> Iterator[Finding]:
    fix = _narrow(account, role)
    for policy, document in policies(account, role):
        if policy.endswith("FullAccess") or policy == "AdministratorAccess":
            arn = f"arn:{account.partition}:iam::aws:policy/{policy}"
            detach = f"aws iam detach-role-policy --role-name {role} --policy-arn {arn}"
            yield Finding(Severity.HIGH, f"role {role}", f"has {policy}", f"{fix}, then {detach}")
        elif excess := list(wildcards(document)):
            problem = f"policy {policy} allows {summarize(excess)}"
            yield Finding(Severity.MEDIUM, f"role {role}", problem, fix)


def _check_use(account: Account, name: str) -> Iterator[Finding]:
    role = account.client("iam").get_role(RoleName=name)["Role"]
    last_used = role.get("RoleLastUsed", {}).get("LastUsedDate") or role["CreateDate"]
    if datetime.now(UTC) - last_used > UNUSED_AFTER:
        problem = f"has not been used since {last_used:%Y-%m-%d}"
        fix = f"detach its policies, then aws iam delete-role --role-name {name}"
        yield Finding(Severity.LOW, f"role {name}", problem, fix)


def _narrow(account: Account, role: str) -> str:
    """Return the command that writes the least-privilege policy of a role."""
    for name, service_role in SERVICE_ROLES.items():
        if role == service_role.name(account):
            return f"python -m ops policy --role {name} --apply"
    for stage in map(stages.read, stages.names()):
        if role.startswith(f"{stage.function}-"):
            return f"python -m ops policy --stage {stage.name}, then release the stage again"
    return "name actions and resources in its policy"
