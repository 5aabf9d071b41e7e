"""A CloudFormation stack: changed by change sets that are shown first, followed to the end."""

import time
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account
from aws.errors import AwsError

POLL_S = 5.0
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")


class Stack:
    """The stack `name` of an account; it need not exist."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._cloudformation = account.client("cloudformation")
        self._tags = account.settings.tag_list()

    def describe(self) -> dict[str, Any] | None:
        """The stack as AWS describes it, or None where it does not exist."""
        try:
            found = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return dict(found[0]) if found else None

    def outputs(self) -> dict[str, str]:
        """The stack's outputs by name."""
        found = self.describe() or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}

    def deploy(self, template_url: str, *, dry_run: bool = False) -> bool:
        """Bring the stack to the template and return whether anything had to change.

        A stack whose creation failed is removed first: CloudFormation cannot update it. Raises
        `AwsError` with AWS's first reason where the change fails; AWS has put the stack back by
        then.
        """
        found = self.describe()
        status = found["StackStatus"] if found else "REVIEW_IN_PROGRESS"
        if status == "ROLLBACK_COMPLETE" and not dry_run:
            print(f"{self.name} was never created whole: it is removed first", flush=True)
            self.delete()
            status = "REVIEW_IN_PROGRESS"
        elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise AwsError(f"stack {self.name} is {status}: wait for it, then try again")
        new = status in ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE")
        change_set = self._propose(template_url, new=new)
        if change_set is None:
            return False
        if dry_run:
            self._cloudformation.delete_change_set(ChangeSetName=change_set)
            if new:
                self._cloudformation.delete_stack(StackName=self.name)
            return True
        since = self._last_event() if not new else None
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        self._follow(since)
        return True

    def delete(self) -> bool:
        """Remove the stack and return whether there was one. Raises `AwsError` if it stays."""
        found = self.describe()
        if found is None:
            return False
        stack_id = found["StackId"]
        self._cloudformation.delete_stack(StackName=stack_id)
        while True:
            [now] = self._cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
            if now["StackStatus"] == "DELETE_COMPLETE":
                return True
            if now["StackStatus"] == "DELETE_FAILED":
                raise AwsError(f"stack {self.name} stays: {now.get('StackStatusReason')}")
            time.sleep(POLL_S)

    def _propose(self, template_url: str, *, new: bool) -> str | None:
        """The id of a change set that is ready, its changes printed; None if there are none."""
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"release-{time.time_ns()}",
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateURL=template_url,
            Capabilities=_CAPABILITIES,
            Tags=self._tags,
        )["Id"]
        while True:
            found = self._cloudformation.describe_change_set(ChangeSetName=change_set)
            if found["Status"] == "CREATE_COMPLETE":
                break
            if found["Status"] == "FAILED":
                self._cloudformation.delete_change_set(ChangeSetName=change_set)
                reason = found.get("StatusReason", "")
                if any(text in reason for text in _UNCHANGED):
                    return None
                raise AwsError(f"CloudFormation refuses the template: {reason}")
            time.sleep(POLL_S)
        for change in found["Changes"]:
            what = change["ResourceChange"]
            replaced = " (replaced)" if what.get("Replacement") == "True" else ""
            print(
                f"  {what['Action'].lower():<7} {what['LogicalResourceId']}{replaced}", flush=True
            )
        return str(change_set)

    def _follow(self, since: str | None) -> None:
        told = ""
        while True:
            status = (self.describe() or {}).get("StackStatus", "DELETE_COMPLETE")
            if status != told:
                print(f"{self.name}: {status}", flush=True)
                told = status
            if not status.endswith("_IN_PROGRESS"):
                break
            time.sleep(POLL_S)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise AwsError(f"stack {self.name} is {status}: {self._first_failure(since)}")

    def _last_event(self) -> str | None:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return str(events[0]["EventId"]) if events else None

    def _first_failure(self, since: str | None) -> str:
        """Why the first resource failed: the ones after it fail because of it."""
        reason = "AWS gives no reason"
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=self.name):
            for event in page["StackEvents"]:
                if event["EventId"] == since:
                    return reason
                if event.get("ResourceStatus", "").endswith("_FAILED"):
                    text = event.get("ResourceStatusReason", "without a reason")
                    reason = f"{event['LogicalResourceId']}: {text}"
        return reason
