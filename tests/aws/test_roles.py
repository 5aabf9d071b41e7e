"""Roles: created, updated where they differ, and otherwise only read."""

import boto3
import pytest

from aws import roles
from aws.account import Account
from aws.policy_statements import allow, policy
from aws.settings import AwsSettings
from tests.emulator.corrected_moto import State

READ = policy(allow("Read", "s3:GetObject", "arn:aws:s3:::b/*"))
TRUST = roles.trust("sagemaker.amazonaws.com")


@pytest.fixture
def account(aws: None) -> Account:
    return Account(AwsSettings.read())


def test_a_role_is_created_once(account: Account) -> None:
    assert roles.ensure_role(account, "r", TRUST, READ)
    assert not roles.ensure_role(account, "r", TRUST, READ)
    iam = boto3.client("iam")
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == TRUST
    inline = iam.get_role_policy(RoleName="r", PolicyName=roles.POLICY)
    assert inline["PolicyDocument"] == READ


def test_what_differs_is_updated(account: Account) -> None:
    roles.ensure_role(account, "r", TRUST)
    trust = roles.trust("ec2.amazonaws.com")
    assert not roles.ensure_role(account, "r", trust, READ)
    iam = boto3.client("iam")
    assert iam.get_role(RoleName="r")["Role"]["AssumeRolePolicyDocument"] == trust
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == [roles.POLICY]


def test_an_up_to_date_role_needs_no_right_to_write(account: Account, emulator: State) -> None:
    roles.ensure_role(account, "r", TRUST, READ)
    for operation in ("CreateRole", "PutRolePolicy", "UpdateAssumeRolePolicy"):
        emulator.refused[operation] = ("AccessDenied", "no")
    assert not roles.ensure_role(account, "r", TRUST, READ)


def test_an_instance_profile(account: Account) -> None:
    roles.ensure_role(account, "r", TRUST)
    for _ in range(2):
        roles.ensure_instance_profile(account, "r")
    profile = boto3.client("iam").get_instance_profile(InstanceProfileName="r")
    assert [role["RoleName"] for role in profile["InstanceProfile"]["Roles"]] == ["r"]
