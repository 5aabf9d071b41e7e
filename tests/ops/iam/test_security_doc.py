"""docs/security.md: its tables are the policies."""

from typing import Any

import pytest

from aws import role_policies
from ops.iam import policy
from tests.ops.iam import permission_tables
from tests.ops.iam.permission_tables import PAGE, ROLES, render, written


def test_the_tables_are_the_policies(credentials: None) -> None:
    assert written() == render(), "the tables are stale: python -m tests.ops.iam.permission_tables"


def test_another_permission_would_be_seen(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = role_policies.statements.list_below

    def more(account: Any) -> Any:
        return {**original(account), "Action": ["s3:ListBucket", "s3:GetBucketPolicy"]}

    monkeypatch.setattr(role_policies.statements, "list_below", more)
    assert written() != render()


def test_every_role_has_a_table(credentials: None) -> None:
    made = {make for _, _, make in ROLES}
    assert {role.policy for role in policy.ROLES.values()} <= made
    titles = {title for title, _, _ in ROLES}
    assert {"Lambda, dev", "Lambda, prod", "Pipeline, dev", "Pipeline, prod"} <= titles
    for title in titles:
        assert f"**{title}**" in written()
    assert permission_tables.BEGIN in PAGE.read_text()
