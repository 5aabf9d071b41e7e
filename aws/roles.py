"""Create IAM roles and bring them up to date with generated policies."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from aws import policy_statements
from aws.account import Account, error_code, or_none
from aws.policy_statements import Policy
from aws.polling import retry
from cli.errors import SettingsError

T = TypeVar("T")

POLICY = "whatbreed"
"""Name of the one inline policy of each role."""
_SPREADING = timedelta(minutes=5)
MAX_VERSIONS = 5
"""Versions of a managed policy that IAM keeps.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def trust(service: str) -> Policy:
    """Return the trust policy for an AWS service such as `sagemaker.amazonaws.com`."""
    return policy_statements.policy(
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    )


def ensure_role(
    account: Account, name: str, trust_policy: Policy, policy: Policy | None = None
) -> bool:
    """Create role `name` or update what differs; return whether it is new.

    A role that is up to date is only read, so that operators need no right to write policies.
    """
    if policy is not None:
        _check_size(f"role {name}", policy, policy_statements.INLINE_ROLE_CHARACTERS)
    iam = account.client("iam")
    response = or_none(lambda: iam.get_role(RoleName=name))
    if response is None:
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust_policy),
            Tags=account.settings.tag_list(),
        )
    elif response["Role"]["AssumeRolePolicyDocument"] != trust_policy:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust_policy))
    if policy is not None and _inline_policy(account, name) != policy:
        iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy))
    return response is None


def ensure_policy(account: Account, name: str, document: Policy) -> bool:
    """Create the managed policy `name` or update it. Return whether anything changed."""
    _check_size(name, document, policy_statements.MANAGED_CHARACTERS)
    iam = account.client("iam")
    arn = f"arn:{account.partition}:iam::{account.id}:policy/{name}"
    response = or_none(lambda: iam.get_policy(PolicyArn=arn))
    if response is None:
        iam.create_policy(
            PolicyName=name,
            PolicyDocument=json.dumps(document),
            Tags=account.settings.tag_list(),
        )
        return True
    current = response["Policy"]["DefaultVersionId"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]
    if version["Document"] == document:
        return False
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    if len(versions) >= MAX_VERSIONS:
        old = [version for version in versions if not version["IsDefaultVersion"]]
        oldest = min(old, key=lambda version: int(version["VersionId"].removeprefix("v")))
        iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    return True


def remove_policy(account: Account, name: str) -> str:
    """Delete the managed policy `name` and return what was done; "" if it does not exist.

    IAM deletes no policy that is attached, so the result may be who it is attached to.
    """
    iam = account.client("iam")
    arn = f"arn:{account.partition}:iam::{account.id}:policy/{name}"
    if or_none(lambda: iam.get_policy(PolicyArn=arn)) is None:
        return ""
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    holders = [
        f"{kind} {entity[f'{kind.capitalize()}Name']}"
        for kind in ("group", "role", "user")
        for entity in entities[f"Policy{kind.capitalize()}s"]
    ]
    if holders:
        return f"policy {name} is obsolete: detach it from {', '.join(holders)} and run this again"
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)
    return f"policy {name} deleted"


def ensure_service_linked_role(account: Account, service: str) -> None:
    """Create the role that AWS's `service` uses in this account, if the caller may.

    An account's first request for a spot instance fails without that of `spot.amazonaws.com`.
    """
    try:
        account.client("iam").create_service_linked_role(AWSServiceName=service)
    except ClientError as error:
        # It exists; or only an administrator may create it, and the request says if it is missing.
        if error_code(error) not in ("InvalidInput", "AccessDenied"):
            raise


def ensure_instance_profile(account: Account, role: str) -> None:
    """Create the instance profile of the role's name and put the role into it."""
    iam = account.client("iam")
    response = or_none(lambda: iam.get_instance_profile(InstanceProfileName=role))
    if response is None:
        response = iam.create_instance_profile(
            InstanceProfileName=role, Tags=account.settings.tag_list()
        )
    if not response["InstanceProfile"]["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)


def once_assumable(account: Account, arn: str, call: Callable[[], T]) -> T:
    """Call SageMaker again while it cannot assume the role `arn` that was just created.

    IAM needs seconds to spread a role.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
    """
    return retry(account, call, lambda error: _is_spreading(account, arn, error))


def _is_spreading(account: Account, arn: str, error: ClientError) -> bool:
    if "assume role" not in error.response.get("Error", {}).get("Message", ""):
        return False
    role = or_none(lambda: account.client("iam").get_role(RoleName=arn.rpartition("/")[2]))
    return role is not None and datetime.now(UTC) - role["Role"]["CreateDate"] < _SPREADING


def _check_size(name: str, document: Policy, limit: int) -> None:
    size = policy_statements.characters(document)
    if size > limit:
        raise SettingsError(
            f"The policy of {name} has {size} characters; IAM accepts {limit}. Use shorter names "
            "in settings.toml and config.json, or fewer stages."
        )


def _inline_policy(account: Account, role: str) -> Any:
    iam = account.client("iam")
    response = or_none(lambda: iam.get_role_policy(RoleName=role, PolicyName=POLICY))
    return response and response["PolicyDocument"]
