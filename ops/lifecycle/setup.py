"""The part of `up` for an administrator: bucket, roles, budget."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from aws import alerts, roles, s3_storage
from aws.account import Account, or_none
from aws.policy_statements import Policy
from ops.deployment import Deployment
from ops.iam import api_roles, github_oidc
from ops.iam.policy import SERVICE_ROLES
from ops.lifecycle.step import Step

NEEDED_ROLES = ("serving", "codebuild")
"""The roles of SERVICE_ROLES without which no model can be served."""


def steps(deployment: Deployment, repository: str, releasers: Sequence[str]) -> Iterator[Step]:
    """Yield the steps. `repository` and `releasers` are those of `policy --role pipeline`."""
    account, alert = deployment.account, deployment.alerts
    yield Step(
        "setup",
        f"bucket {account.bucket}",
        "seconds",
        lambda: "" if s3_storage.exists(account) else "create it: private, encrypted, TLS only",
        lambda: s3_storage.create_bucket(account),
    )
    yield Step(
        "setup",
        "roles",
        "seconds",
        lambda: ", ".join(_missing_roles(deployment, repository, releasers)),
        lambda: _ensure_roles(deployment, repository, releasers),
    )
    if alert.email and alerts.has_budgets(account):
        yield Step(
            "setup",
            f"budget of ${alert.monthly_usd:.2f} per month",
            "seconds",
            lambda: "" if alerts.budget_is_current(account, alert) else f"notify {alert.email}",
            lambda: alerts.ensure_budget(account, alert),
        )


def _missing_roles(
    deployment: Deployment, repository: str, releasers: Sequence[str]
) -> Iterator[str]:
    account, stage = deployment.account, deployment.stage
    expected: dict[str, Policy | None] = {
        SERVICE_ROLES[name].name(account): SERVICE_ROLES[name].policy(account)
        for name in NEEDED_ROLES
    }
    for name, document in api_roles.documents(account, stage).items():
        if name == "boundary":
            if _boundary(account, api_roles.boundary_arn(account, stage)) != document:
                yield f"write {stage.function}-boundary"
        else:  # Chalice writes the policy of its function's role itself
            expected[name] = document if deployment.has_stack else None
    for name, policy in expected.items():
        if not _is_current(account, name, policy):
            yield f"write {name}"
    if repository or releasers:
        name, policy = github_oidc.role_name(stage), github_oidc.policy(account, stage)
        trust = github_oidc.trust(account, stage, repository, releasers)
        if not _is_current(account, name, policy, trust):
            yield f"write {name}"


def _is_current(
    account: Account, name: str, policy: Policy | None, trust: Policy | None = None
) -> bool:
    iam = account.client("iam")
    role = or_none(lambda: iam.get_role(RoleName=name))
    if role is None or (trust and role["Role"]["AssumeRolePolicyDocument"] != trust):
        return False
    if policy is None:
        return True
    inline = or_none(lambda: iam.get_role_policy(RoleName=name, PolicyName=roles.POLICY))
    return inline is not None and inline["PolicyDocument"] == policy


def _boundary(account: Account, arn: str) -> Any:
    iam = account.client("iam")
    policy = or_none(lambda: iam.get_policy(PolicyArn=arn))
    if policy is None:
        return None
    version = policy["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _ensure_roles(deployment: Deployment, repository: str, releasers: Sequence[str]) -> None:
    account, stage = deployment.account, deployment.stage
    for name in NEEDED_ROLES:
        role = SERVICE_ROLES[name]
        trust = roles.trust(f"{role.service}.amazonaws.com")
        roles.ensure_role(account, role.name(account), trust, role.policy(account))
    if repository or releasers:
        changes = github_oidc.ensure(account, stage, repository, releasers)
    else:
        changes = api_roles.ensure(account, stage)
    for change in changes:
        print(f"  {change}", flush=True)
    time.sleep(account.settings.poll_s)  # IAM needs seconds to spread a new role
