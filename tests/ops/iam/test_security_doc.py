"""The permission tables of docs/security.md match the policies."""

from typing import Any

from aws.account import Account
from ops.iam import policy
from tests.ops.iam import permission_tables
from tests.ops.iam.permission_tables import PAGE, ROLES, render, written


def test_the_tables_are_the_policies(credentials: None) -> None:
    assert written() == render(), "the tables are stale: python -m tests.ops.iam.permission_tables"


def test_another_permission_changes_the_tables(credentials: None) -> None:
    title, holder, policy_of = ROLES[0]

    def wider(account: Account) -> dict[str, Any]:
        document = policy_of(account)
        document["Statement"][0]["Action"] = ["sagemaker:InvokeEndpoint", "s3:GetBucketPolicy"]
        return document

    assert render([(title, holder, wider), *ROLES[1:]]) != written()


def test_every_role_has_a_table(credentials: None) -> None:
    policies = {policy_of for _, _, policy_of in ROLES}
    assert {role.policy for role in policy.SERVICE_ROLES.values()} | {policy.operator} <= policies
    titles = {title for title, _, _ in ROLES}
    assert {"Lambda, dev", "Lambda, prod", "Pipeline, dev", "Pipeline, prod"} <= titles
    for title in titles:
        assert f"**{title}**" in written()
    assert permission_tables.BEGIN in PAGE.read_text()
