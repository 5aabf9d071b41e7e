"""Stacks in every state that AWS documents, and updates that fail, change nothing or are cancelled.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.cloudformation.models import cloudformation_backends

from aws.account import Account
from aws.errors import AwsError
from aws.settings import AwsSettings
from ops.api.cloudformation_stack import Stack
from tests.emulator import corrected_moto
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION

NAME = "whatbreed-prod"


def template(topic: str = "one") -> dict[str, Any]:
    topics = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": topic}}}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": topics}


@pytest.fixture
def stack(aws: None) -> Stack:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return Stack(Account(AwsSettings.read()), NAME)


def deploy(stack: Stack, topic: str = "one") -> bool:
    body = json.dumps(template(topic)).encode()
    boto3.client("s3").put_object(Bucket=BUCKET, Key=f"{topic}.json", Body=body)
    url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/{topic}.json"
    return stack.deploy(url, template(topic), {})


def moto_stack() -> Any:
    backend = cloudformation_backends[ACCOUNT][REGION]
    [found] = [each for each in backend.stacks.values() if each.name == NAME]
    return found


def topics() -> list[str]:
    listed = boto3.client("sns").list_topics()["Topics"]
    return [topic["TopicArn"].rpartition(":")[2] for topic in listed]


def fail(resource: str, status: str, reason: str) -> None:
    """Add an event to the stack."""
    moto_stack()._add_stack_event(status, resource_status_reason=reason)
    moto_stack().events[-1].logical_resource_id = resource


def test_create_update_nothing_and_delete(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(stack)
    assert "  add     Topic" in capsys.readouterr().out
    assert not deploy(stack)
    assert deploy(stack, "two")
    assert (stack.status(), topics()) == ("UPDATE_COMPLETE", ["two"])
    assert boto3.client("cloudformation").list_change_sets(StackName=NAME)["Summaries"]
    stack.delete()
    stack.delete()
    assert (stack.status(), topics()) == (None, [])


@pytest.mark.parametrize(
    "status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"]
)
def test_a_stack_that_can_only_be_deleted_is_created_again(
    stack: Stack, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(stack)
    moto_stack().status = status
    assert deploy(stack, "two")
    assert f"whatbreed-prod is {status}; deleting it first." in capsys.readouterr().out
    assert (stack.status(), topics()) == ("CREATE_COMPLETE", ["two"])


def test_a_stack_in_review_is_created(stack: Stack) -> None:
    deploy(stack)
    stack.delete()
    boto3.client("cloudformation").create_change_set(
        StackName=NAME,
        ChangeSetName="left-behind",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(template()),
    )
    assert stack.status() == "REVIEW_IN_PROGRESS"
    assert deploy(stack, "two")
    assert stack.status() == "CREATE_COMPLETE"


def test_a_rollback_that_failed_is_resumed(stack: Stack) -> None:
    deploy(stack)
    moto_stack().status = "UPDATE_ROLLBACK_FAILED"
    assert deploy(stack, "two")
    assert stack.status() == "UPDATE_COMPLETE"


def test_a_rollback_that_fails_again_is_an_error_with_the_command(
    stack: Stack, emulator: corrected_moto.State
) -> None:
    deploy(stack)
    moto_stack().status = "UPDATE_ROLLBACK_FAILED"

    def fails() -> None:
        if moto_stack().status == "UPDATE_ROLLBACK_IN_PROGRESS":
            fail("Topic", "UPDATE_FAILED", "Topic does not exist")
            moto_stack().status = moto_stack().next_status = "UPDATE_ROLLBACK_FAILED"

    emulator.on_stack = fails
    with pytest.raises(AwsError) as raised:
        deploy(stack, "two")
    assert str(raised.value) == (
        "Stack whatbreed-prod cannot be rolled back: Topic: Topic does not exist. Restore that "
        "resource, or skip it with `aws cloudformation continue-update-rollback --stack-name "
        "whatbreed-prod --resources-to-skip NAME`."
    )


@pytest.mark.parametrize(
    "status",
    ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS", "UPDATE_IN_PROGRESS",
     "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS",
     "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_IN_PROGRESS"],
)  # fmt: skip
def test_a_stack_in_progress_is_not_changed(
    stack: Stack, emulator: corrected_moto.State, status: str
) -> None:
    deploy(stack)

    def keep() -> None:
        moto_stack().status, moto_stack().next_status = status, status

    emulator.on_stack = keep
    emulator.actions.clear()
    for action in (lambda: deploy(stack, "two"), lambda: stack.preview(template("two"))):
        with pytest.raises(AwsError, match=f"is {status}. Wait until.*--cancel --stage STAGE"):
            action()
    assert emulator.actions <= {"cloudformation:DescribeStacks", "s3:PutObject"}


def test_another_template_at_the_url_is_not_executed(stack: Stack) -> None:
    url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/one.json"
    body = json.dumps(template("evil")).encode()
    boto3.client("s3").put_object(Bucket=BUCKET, Key="one.json", Body=body)
    with pytest.raises(AwsError, match=r"one\.json was changed before"):
        stack.deploy(url, template(), {})
    assert topics() == []
    assert stack.status() is None


def test_a_preview_changes_nothing(
    stack: Stack, emulator: corrected_moto.State, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack.preview(template())
    deploy(stack)
    assert not stack.preview(template())
    changed = template("two")
    changed["Resources"]["Other"] = changed["Resources"]["Topic"]
    for status, line in (
        ("CREATE_COMPLETE", "  modify  Topic\n"),
        ("ROLLBACK_COMPLETE", "  delete  stack whatbreed-prod, which is ROLLBACK_COMPLETE\n"),
        ("DELETE_FAILED", "  delete  stack whatbreed-prod, which is DELETE_FAILED\n"),
        ("UPDATE_ROLLBACK_FAILED", "  resume  the rollback of stack whatbreed-prod\n"),
        ("REVIEW_IN_PROGRESS", "  add     Topic\n"),
    ):
        moto_stack().status = status
        capsys.readouterr()
        emulator.actions.clear()
        assert stack.preview(changed)
        out = capsys.readouterr().out
        assert line in out
        assert "  add     Other\n" in out
        assert {action.partition(":")[2] for action in emulator.actions} <= {
            "DescribeStacks", "GetTemplate",
        }  # fmt: skip
        assert stack.status() == status
    assert topics() == ["one"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_update_is_rolled_back(
    stack: Stack, emulator: corrected_moto.State, number: signal.Signals
) -> None:
    deploy(stack)
    before = signal.getsignal(number)
    emulator.stack_hangs, emulator.on_stack = True, once(lambda: os.kill(os.getpid(), number))
    with pytest.raises(AwsError) as raised:
        deploy(stack, "two")
    assert str(raised.value) == (
        f"Interrupted by {number.name}. Stack whatbreed-prod is back at the previous release."
    )
    assert (stack.status(), topics()) == ("UPDATE_ROLLBACK_COMPLETE", ["one"])
    assert signal.getsignal(number) is before


def once(act: Callable[[], None]) -> Callable[[], None]:
    """Return a function that acts when it first sees a stack in progress."""
    done: list[bool] = []

    def each() -> None:
        backend = cloudformation_backends[ACCOUNT][REGION]
        statuses = [item.status for item in backend.stacks.values()]
        if not done and any(status in ("UPDATE_IN_PROGRESS", "CREATE_IN_PROGRESS")
                            for status in statuses):  # fmt: skip
            done.append(True)
            act()

    return each


def test_a_second_interruption_ends_the_wait(stack: Stack, emulator: corrected_moto.State) -> None:
    """GitHub sends two; the rollback that the first has started continues in AWS."""
    deploy(stack)
    seen = []

    def interrupt() -> None:
        status = moto_stack().status
        if status.endswith("_IN_PROGRESS") and status not in seen:
            seen.append(status)
            os.kill(os.getpid(), signal.SIGTERM if len(seen) > 1 else signal.SIGINT)

    emulator.stack_hangs, emulator.on_stack = True, interrupt
    with pytest.raises(AwsError) as raised:
        deploy(stack, "two")
    assert str(raised.value) == (
        "Interrupted by SIGINT. CloudFormation continues to return stack whatbreed-prod to its "
        "previous state."
    )
    assert seen == ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"]


def test_an_interrupted_creation_is_deleted(stack: Stack, emulator: corrected_moto.State) -> None:
    kill = once(lambda: os.kill(os.getpid(), signal.SIGTERM))
    emulator.stack_hangs, emulator.on_stack = True, kill
    with pytest.raises(AwsError, match="Stack whatbreed-prod has been deleted again"):
        deploy(stack)
    assert stack.status() is None


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("UPDATE_IN_PROGRESS", "is back at the previous release"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "is back at the previous release"),
        ("CREATE_IN_PROGRESS", "has been deleted again"),
        ("UPDATE_COMPLETE", "is not being changed; it is UPDATE_COMPLETE"),
        ("REVIEW_IN_PROGRESS", "is not being changed; it is REVIEW_IN_PROGRESS"),
    ],
)
def test_cancel(stack: Stack, status: str, sentence: str) -> None:
    deploy(stack)
    moto_stack().status = status
    assert stack.cancel() == f"Stack whatbreed-prod {sentence}."


def test_cancel_without_a_stack(stack: Stack) -> None:
    assert stack.cancel() == "Stack whatbreed-prod is not being changed; it is deleted."


def test_the_reason_is_the_first_failure_of_this_update(
    stack: Stack, emulator: corrected_moto.State
) -> None:
    deploy(stack)
    fail("Old", "UPDATE_FAILED", "an earlier update")

    def fails() -> None:
        if moto_stack().status == "UPDATE_IN_PROGRESS":
            fail("APIHandlerAliaslive", "UPDATE_FAILED", "Rollback: alarm release-errors")
            fail("Other", "UPDATE_FAILED", "Resource update cancelled")
            moto_stack().status = "UPDATE_ROLLBACK_COMPLETE"

    emulator.stack_hangs, emulator.on_stack = True, fails
    with pytest.raises(AwsError) as raised:
        deploy(stack, "two")
    assert str(raised.value) == (
        "Stack whatbreed-prod is UPDATE_ROLLBACK_COMPLETE: "
        "APIHandlerAliaslive: Rollback: alarm release-errors."
    )


def test_a_stack_that_cannot_be_deleted_is_an_error(
    stack: Stack, emulator: corrected_moto.State
) -> None:
    deploy(stack)
    backend = cloudformation_backends[ACCOUNT][REGION]

    def fails() -> None:
        for name in list(backend.deleted_stacks):
            backend.stacks[name] = backend.deleted_stacks.pop(name)
            moto_stack().status = "DELETE_FAILED"
            fail("Topic", "DELETE_FAILED", "not authorized to perform SNS:DeleteTopic")

    emulator.on_stack = fails
    with pytest.raises(AwsError) as raised:
        stack.delete()
    assert str(raised.value) == (
        "Cannot delete stack whatbreed-prod: Topic: not authorized to perform SNS:DeleteTopic. "
        "Delete that resource, or keep it with `aws cloudformation delete-stack --stack-name "
        "whatbreed-prod --retain-resources NAME`, and run this command again."
    )
