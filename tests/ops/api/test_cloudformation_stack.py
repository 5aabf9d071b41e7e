"""A stack whose change fails: what is told, and what is done first."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws.errors import AwsError
from ops.api import cloudformation_stack as stacks
from ops.api.cloudformation_stack import Stack


class CloudFormation:
    """Answers as CloudFormation does for a stack that goes through `statuses`."""

    def __init__(self, *statuses: str, refusal: str = "") -> None:
        self.statuses = list(statuses)
        self.refusal = refusal
        self.calls: list[str] = []

    def describe_stacks(self, StackName: str) -> Any:
        if not self.statuses:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks"
            )
        now = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackStatus": now, "StackId": "id", "StackName": StackName}]}

    def create_change_set(self, **request: Any) -> Any:
        self.calls.append(f"create_change_set {request['ChangeSetType']}")
        return {"Id": "change-set"}

    def describe_change_set(self, **_: Any) -> Any:
        if self.refusal:
            return {"Status": "FAILED", "StatusReason": self.refusal}
        change = {"Action": "Modify", "LogicalResourceId": "RestAPI", "Replacement": "True"}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}]}

    def describe_stack_events(self, **_: Any) -> Any:
        return {"StackEvents": [{"EventId": "old", "ResourceStatus": "CREATE_COMPLETE"}]}

    def get_paginator(self, _: str) -> Any:
        events = [
            ("3", "Alias", "UPDATE_FAILED", "Resource update cancelled"),
            ("2", "APIHandlerAliaslive", "UPDATE_FAILED", "Rollback: alarm release-errors rang"),
            ("1", "APIHandler", "UPDATE_COMPLETE", None),
            ("old", "Other", "UPDATE_FAILED", "of another time"),
        ]
        page = {
            "StackEvents": [
                {
                    "EventId": number,
                    "LogicalResourceId": name,
                    "ResourceStatus": status,
                    "ResourceStatusReason": reason,
                }
                for number, name, status, reason in events
            ]
        }
        return type("Pages", (), {"paginate": lambda self, **_: [page]})()

    def __getattr__(self, name: str) -> Any:
        return lambda **_: self.calls.append(name)


class Account:
    """As much of an account as a stack looks at."""

    def __init__(self, cloudformation: CloudFormation) -> None:
        self._cloudformation = cloudformation
        self.cloud = self

    def client(self, _: str) -> CloudFormation:
        return self._cloudformation

    def tag_list(self) -> list[dict[str, str]]:
        return []


def deploy(cloudformation: CloudFormation, **options: Any) -> bool:
    account: Any = Account(cloudformation)
    return Stack(account, "whatbreed-prod").deploy("https://template", **options)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks.time, "sleep", lambda _: None)


def test_the_reason_is_that_of_the_first_resource_of_this_change() -> None:
    aws = CloudFormation("UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
    with pytest.raises(AwsError) as caught:
        deploy(aws)
    assert str(caught.value) == (
        "stack whatbreed-prod is UPDATE_ROLLBACK_COMPLETE: "
        "APIHandlerAliaslive: Rollback: alarm release-errors rang"
    )


def test_a_stack_that_was_never_whole_is_removed_first() -> None:
    aws = CloudFormation(
        "ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE",
        "CREATE_IN_PROGRESS", "CREATE_COMPLETE",
    )  # fmt: skip
    assert deploy(aws)
    assert aws.calls == ["delete_stack", "create_change_set CREATE", "execute_change_set"]


def test_a_stack_at_work_is_left_alone() -> None:
    aws = CloudFormation("UPDATE_IN_PROGRESS")
    with pytest.raises(AwsError, match="is UPDATE_IN_PROGRESS: wait for it"):
        deploy(aws)
    assert aws.calls == []


def test_a_template_that_is_refused_is_told() -> None:
    aws = CloudFormation("UPDATE_COMPLETE", refusal="Invalid template property")
    with pytest.raises(AwsError, match="refuses the template: Invalid template property"):
        deploy(aws)
    assert aws.calls == ["create_change_set UPDATE", "delete_change_set"]


def test_no_change_is_no_failure() -> None:
    aws = CloudFormation("UPDATE_COMPLETE", refusal="No updates are to be performed.")
    assert not deploy(aws)


def test_a_dry_run_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    aws = CloudFormation()
    assert deploy(aws, dry_run=True)
    assert aws.calls == ["create_change_set CREATE", "delete_change_set", "delete_stack"]
    assert capsys.readouterr().out == "  modify  RestAPI (replaced)\n"


def test_what_cannot_be_removed_is_told() -> None:
    account: Any = Account(CloudFormation("UPDATE_COMPLETE", "DELETE_FAILED"))
    with pytest.raises(AwsError, match="stack whatbreed-prod stays"):
        Stack(account, "whatbreed-prod").delete()
