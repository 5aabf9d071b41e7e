"""Delete IAM roles and policies with everything attached to them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from aws import roles
from aws.account import Account, is_denied, or_none
from ops.deployment import Deployment
from ops.endpoint.teardown import Removal
from ops.iam import api_roles, github_oidc
from ops.iam.policy import SERVICE_ROLES


def of_stage(deployment: Deployment) -> Iterator[Removal]:
    """Yield the roles of the stage and the boundary of its function's role."""
    account, stage = deployment.account, deployment.stage
    names = (api_roles.function_role, api_roles.release_role, github_oidc.role_name)
    for name in names:
        yield from _role(account, name(stage))
    yield from _policy(account, f"{stage.function}-boundary")


def shared(deployment: Deployment) -> Iterator[Removal]:
    """Yield the roles, policies and the identity provider that all stages share."""
    account = deployment.account
    for role in SERVICE_ROLES.values():
        yield from _role(account, role.name(account).rpartition("/")[2])
    for policy in _of_operators(account):
        if not _attached(policy):
            yield from _policy(account, policy["PolicyName"])
    yield from _provider(account)


def attached_policies(account: Account) -> list[str]:
    """Return the policies of operators that are attached; [] to callers who may not list them."""
    try:
        return [policy["PolicyName"] for policy in _of_operators(account) if _attached(policy)]
    except ClientError as error:
        if is_denied(error):
            return []
        raise


def _of_operators(account: Account) -> list[dict[str, Any]]:
    prefix = f"{account.settings.prefix}-operator"
    pages = account.client("iam").get_paginator("list_policies").paginate(Scope="Local")
    policies = pages.search("Policies[]")
    return [policy for policy in policies if policy["PolicyName"].startswith(prefix)]


def _attached(policy: dict[str, Any]) -> bool:
    return bool(policy["AttachmentCount"])


def _role(account: Account, name: str) -> Iterator[Removal]:
    iam = account.client("iam")
    if or_none(lambda: iam.get_role(RoleName=name)):
        yield f"role {name}", partial(_delete_role, account, name)


def _delete_role(account: Account, name: str) -> None:
    iam = account.client("iam")
    profiles = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
    for profile in profiles:
        of_profile = {"InstanceProfileName": profile["InstanceProfileName"]}
        iam.remove_role_from_instance_profile(**of_profile, RoleName=name)
        if profile["InstanceProfileName"] == name:
            iam.delete_instance_profile(**of_profile)
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=attached["PolicyArn"])
    iam.delete_role(RoleName=name)


def _policy(account: Account, name: str) -> Iterator[Removal]:
    iam, arn = account.client("iam"), f"arn:{account.partition}:iam::{account.id}:policy/{name}"
    if or_none(lambda: iam.get_policy(PolicyArn=arn)):
        yield f"policy {name}", partial(roles.delete_policy, account, arn)


def _provider(account: Account) -> Iterator[Removal]:
    """GitHub's identity provider, unless roles of others trust it."""
    iam = account.client("iam")
    arn = f"arn:{account.partition}:iam::{account.id}:oidc-provider/{github_oidc.ISSUER}"
    if or_none(lambda: iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)) is None:
        return
    own = f"{account.settings.prefix}-pipeline-"
    for role in iam.get_paginator("list_roles").paginate().search("Roles[]"):
        if arn in str(role["AssumeRolePolicyDocument"]) and not role["RoleName"].startswith(own):
            return
    delete = partial(iam.delete_open_id_connect_provider, OpenIDConnectProviderArn=arn)
    yield f"identity provider {github_oidc.ISSUER}", delete
