"""Roles: created or brought up to date with a generated policy, and removed again."""

import json
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing

POLICY = "whatbreed"
"""The name of the one inline policy of each of our roles."""


def trust(service: str) -> dict[str, Any]:
    """The trust policy that lets an AWS service, `sagemaker.amazonaws.com`, take the role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": service},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def ensure_role(account: Account, name: str, service: str, policy: dict[str, Any]) -> bool:
    """Let role `name` hold `policy`; returns whether the role is new.

    A role that holds it already is only looked at: that much a deployer without the right to write
    policies may do.
    """
    iam = account.client("iam")
    created = False
    try:
        iam.get_role(RoleName=name)
    except ClientError as error:
        if not is_missing(error):
            raise
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(trust(service)),
            Tags=account.settings.tag_list(),
        )
        created = True
    if created or _policy_of(account, name) != policy:
        iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy))
    return created


def _policy_of(account: Account, role: str) -> Any:
    try:
        return account.client("iam").get_role_policy(RoleName=role, PolicyName=POLICY)[
            "PolicyDocument"
        ]
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def ensure_instance_profile(account: Account, role: str) -> bool:
    """Let an instance profile of the role's name hold the role; returns whether it is new."""
    iam = account.client("iam")
    try:
        found = iam.get_instance_profile(InstanceProfileName=role)["InstanceProfile"]
    except ClientError as error:
        if not is_missing(error):
            raise
        iam.create_instance_profile(InstanceProfileName=role, Tags=account.settings.tag_list())
        found = {"Roles": []}
    if found["Roles"]:
        return False
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    return True
