"""Stacks whose update fails, waits or changes nothing."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from aws.errors import AwsError
from aws.settings import AwsSettings
from ops.api.cloudformation_stack import Stack

TEMPLATE: dict[str, Any] = {"Resources": {}}


class FakeCloudFormation:
    """Responds as CloudFormation does for a stack that goes through `statuses`."""

    def __init__(
        self, *statuses: str, rejection: str = "", template: dict[str, Any] = TEMPLATE
    ) -> None:
        self.template = template
        self.statuses = list(statuses)
        self.rejection = rejection
        self.calls: list[str] = []

    def describe_stacks(self, StackName: str) -> Any:
        if not self.statuses:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks"
            )
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"Stacks": [{"StackStatus": status, "StackId": "id", "StackName": StackName}]}

    def create_change_set(self, **request: Any) -> Any:
        self.calls.append(f"create_change_set {request['ChangeSetType']}")
        return {"Id": "change-set"}

    def describe_change_set(self, **_: Any) -> Any:
        if self.rejection:
            return {"Status": "FAILED", "StatusReason": self.rejection}
        change = {"Action": "Modify", "LogicalResourceId": "RestAPI", "Replacement": "True"}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": change}]}

    def get_template(self, **_: Any) -> Any:
        return {"TemplateBody": self.template}

    def describe_stack_events(self, **_: Any) -> Any:
        return {"StackEvents": [{"EventId": "old", "ResourceStatus": "CREATE_COMPLETE"}]}

    def get_paginator(self, _: str) -> Any:
        events = [
            ("3", "Alias", "UPDATE_FAILED", "Resource update cancelled"),
            ("2", "APIHandlerAliaslive", "UPDATE_FAILED", "Rollback: alarm release-errors"),
            ("1", "APIHandler", "UPDATE_COMPLETE", None),
            ("old", "Other", "UPDATE_FAILED", "an earlier update"),
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


class FakeAccount:
    """The part of an account that a stack uses; polls do not wait."""

    settings = AwsSettings.read({"poll_s": 0})

    def __init__(self, cloudformation: FakeCloudFormation) -> None:
        self._cloudformation = cloudformation

    def client(self, _: str) -> FakeCloudFormation:
        return self._cloudformation


def stack(cloudformation: FakeCloudFormation) -> Stack:
    account: Any = FakeAccount(cloudformation)
    return Stack(account, "whatbreed-prod")


def deploy(cloudformation: FakeCloudFormation, *, dry_run: bool = False) -> bool:
    return stack(cloudformation).deploy("https://template", TEMPLATE, {}, dry_run=dry_run)


def test_the_reason_is_the_first_failure_of_this_update() -> None:
    aws = FakeCloudFormation("UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
    with pytest.raises(AwsError) as caught:
        deploy(aws)
    assert str(caught.value) == (
        "Stack whatbreed-prod is UPDATE_ROLLBACK_COMPLETE: "
        "APIHandlerAliaslive: Rollback: alarm release-errors"
    )


def test_a_stack_that_failed_to_create_is_deleted_first() -> None:
    aws = FakeCloudFormation(
        "ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE",
        "CREATE_IN_PROGRESS", "CREATE_COMPLETE",
    )  # fmt: skip
    assert deploy(aws)
    assert aws.calls == ["delete_stack", "create_change_set CREATE", "execute_change_set"]


def test_a_stack_in_progress_is_not_changed() -> None:
    aws = FakeCloudFormation("UPDATE_IN_PROGRESS")
    with pytest.raises(AwsError, match=r"is UPDATE_IN_PROGRESS\. Wait until"):
        deploy(aws)
    assert aws.calls == []


def test_a_rejected_template_is_an_error() -> None:
    aws = FakeCloudFormation("UPDATE_COMPLETE", rejection="Invalid template property")
    with pytest.raises(AwsError, match="rejected the template: Invalid template property"):
        deploy(aws)
    assert aws.calls == ["create_change_set UPDATE", "delete_change_set"]


def test_another_template_at_the_url_is_not_executed() -> None:
    aws = FakeCloudFormation("UPDATE_COMPLETE", template={"Resources": {"Backdoor": {}}})
    with pytest.raises(AwsError, match="https://template was changed before"):
        deploy(aws)
    assert aws.calls == ["create_change_set UPDATE", "delete_change_set"]


def test_no_change_is_no_error() -> None:
    aws = FakeCloudFormation("UPDATE_COMPLETE", rejection="No updates are to be performed.")
    assert not deploy(aws)


def test_a_dry_run_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    aws = FakeCloudFormation()
    assert deploy(aws, dry_run=True)
    assert aws.calls == ["create_change_set CREATE", "delete_change_set", "delete_stack"]
    assert capsys.readouterr().out == "  modify  RestAPI (replaced)\n"


def test_a_stack_that_cannot_be_deleted_is_an_error() -> None:
    with pytest.raises(AwsError, match="Cannot delete stack whatbreed-prod"):
        stack(FakeCloudFormation("UPDATE_COMPLETE", "DELETE_FAILED")).delete()
