"""docs/security.md: its tables are the policies."""

from typing import Any

import pytest

from tests.training.cloud import permission_tables
from tests.training.cloud.permission_tables import PAGE, ROLES, render, written
from training.cloud import permissions, policy


def test_the_tables_are_the_policies(credentials: None) -> None:
    assert written() == render(), (
        "the tables are stale: python -m tests.training.cloud.permission_tables"
    )


def test_another_permission_would_be_seen(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = permissions.statements.list_below

    def more(account: Any) -> Any:
        return {**original(account), "Action": ["s3:ListBucket", "s3:GetBucketPolicy"]}

    monkeypatch.setattr(permissions.statements, "list_below", more)
    assert written() != render()


def test_every_role_has_a_table(credentials: None) -> None:
    made = {make for _, _, make in ROLES}
    assert {role.policy for role in policy.ROLES.values()} <= made
    titles = {title for title, _, _ in ROLES}
    assert {"Lambda, dev", "Lambda, prod", "Pipeline, dev", "Pipeline, prod"} <= titles
    for title in titles:
        assert f"**{title}**" in written()
    assert permission_tables.BEGIN in PAGE.read_text()
