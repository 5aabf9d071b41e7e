"""A CloudFormation stack, updated through change sets that are printed first."""

import sys
import time
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account
from aws.errors import AwsError
from aws.polling import poll

# Only SAM's transform: without CAPABILITY_IAM, CloudFormation refuses a template with a role.
_CAPABILITIES = ["CAPABILITY_AUTO_EXPAND"]
_NEW = "REVIEW_IN_PROGRESS"  # the status of a stack that has only a change set
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")


class Stack:
    """The stack `name` of an account, which need not exist."""

    def __init__(self, account: Account, name: str) -> None:
        self.name = name
        self._account = account
        self._cloudformation = account.client("cloudformation")

    def status(self) -> str | None:
        """Return AWS's status of the stack, or None if it does not exist."""
        description = self._describe()
        return str(description["StackStatus"]) if description else None

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs by name."""
        outputs = (self._describe() or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def deploy(
        self,
        template_url: str,
        template: dict[str, Any],
        parameters: dict[str, str],
        *,
        dry_run: bool = False,
    ) -> bool:
        """Update the stack to the template and return whether it differed.

        Deletes a stack whose creation failed first, because CloudFormation cannot update it. Raises
        AwsError if CloudFormation reads another document than `template` at the URL, and with AWS's
        first reason if the update fails and has been rolled back.
        """
        status = (self._describe() or {"StackStatus": _NEW})["StackStatus"]
        if status == "ROLLBACK_COMPLETE" and not dry_run:
            print(f"{self.name} failed to create; deleting it first.", flush=True)
            self.delete()
            status = _NEW
        elif status.endswith("_IN_PROGRESS") and status != _NEW:
            raise AwsError(f"Stack {self.name} is {status}. Wait until it is done and try again.")
        is_new = status in (_NEW, "ROLLBACK_COMPLETE")
        kind = "CREATE" if is_new else "UPDATE"
        change_set = self._create_change_set(template_url, parameters, kind)
        if change_set is None:
            return False
        names = {"StackName": self.name, "ChangeSetName": change_set}
        if self._cloudformation.get_template(**names)["TemplateBody"] != template:
            self._cloudformation.delete_change_set(**names)
            raise AwsError(f"{template_url} was changed before CloudFormation read it.")
        if dry_run:
            self._cloudformation.delete_change_set(**names)
            if is_new:
                self._cloudformation.delete_stack(StackName=self.name)
            return True
        last_event = None if is_new else self._last_event()
        self._cloudformation.execute_change_set(**names)
        status = self._wait_for_update()
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise AwsError(f"Stack {self.name} is {status}: {self._first_failure(last_event)}")
        return True

    def delete(self) -> None:
        """Delete the stack if it exists. Raise AwsError if it cannot be deleted."""
        stack = self._describe()
        if stack is None:
            return
        stack_id = stack["StackId"]  # the name finds no deleted stack
        self._cloudformation.delete_stack(StackName=stack_id)
        stack = poll(
            self._account,
            lambda: self._describe(stack_id) or {"StackStatus": "DELETE_COMPLETE"},
            lambda stack: stack["StackStatus"] in ("DELETE_COMPLETE", "DELETE_FAILED"),
        )
        if stack["StackStatus"] == "DELETE_FAILED":
            raise AwsError(f"Cannot delete stack {self.name}: {stack.get('StackStatusReason')}")

    def _describe(self, name: str | None = None) -> dict[str, Any] | None:
        try:
            response = self._cloudformation.describe_stacks(StackName=name or self.name)
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return dict(response["Stacks"][0])

    def _create_change_set(
        self, template_url: str, parameters: dict[str, str], kind: str
    ) -> str | None:
        """Create a change set, print its changes and return its id; None if there are none."""
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"release-{time.time_ns()}",
            ChangeSetType=kind,
            TemplateURL=template_url,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=_CAPABILITIES,
            Tags=self._account.settings.tag_list(),
        )["Id"]
        description: dict[str, Any] = poll(
            self._account,
            lambda: self._cloudformation.describe_change_set(
                StackName=self.name, ChangeSetName=change_set
            ),
            lambda description: description["Status"] in ("CREATE_COMPLETE", "FAILED"),
        )
        if description["Status"] == "FAILED":
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
            reason = description.get("StatusReason", "")
            if any(text in reason for text in _UNCHANGED):
                return None
            raise AwsError(f"CloudFormation rejected the template: {reason}")
        for change in description["Changes"]:
            resource = change["ResourceChange"]
            replaced = " (replaced)" if resource.get("Replacement") == "True" else ""
            action = resource["Action"].lower()
            print(f"  {action:<7} {resource['LogicalResourceId']}{replaced}", flush=True)
        return str(change_set)

    def _wait_for_update(self) -> str:
        try:
            return poll(
                self._account,
                lambda: str((self._describe() or {}).get("StackStatus", "DELETE_COMPLETE")),
                lambda status: not status.endswith("_IN_PROGRESS"),
                lambda status: f"{self.name}: {status}",
            )
        except KeyboardInterrupt:
            print(f"CloudFormation continues to update {self.name}.", file=sys.stderr)
            raise

    def _last_event(self) -> str | None:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return str(events[0]["EventId"]) if events else None

    def _first_failure(self, last_event: str | None) -> str:
        """Return why the first resource after `last_event` failed: it makes the others fail."""
        reason = "AWS gives no reason"
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=self.name):
            for event in page["StackEvents"]:  # newest first
                if event["EventId"] == last_event:
                    return reason
                if event.get("ResourceStatus", "").endswith("_FAILED"):
                    text = event.get("ResourceStatusReason", "no reason")
                    reason = f"{event['LogicalResourceId']}: {text}"
        return reason
