"""A CloudFormation stack, updated through change sets that are printed first."""

import time
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account
from aws.errors import AwsError
from aws.polling import poll
from ops.api.interruption import Interrupted, interruptible

# Only SAM's transform: without CAPABILITY_IAM, CloudFormation refuses a template with a role.
_CAPABILITIES = ["CAPABILITY_AUTO_EXPAND"]
NEW = "REVIEW_IN_PROGRESS"  # the status of a stack that has only a change set
_UNCHANGED = ("didn't contain changes", "No updates are to be performed")
# A stack that never came up, or is half deleted. CloudFormation only deletes it.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
ONLY_DELETABLE = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"


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

    def template(self) -> dict[str, Any]:
        """Return the template that the stack was last updated to; {} if there is none."""
        if self.status() in (None, NEW, *ONLY_DELETABLE):
            return {}
        response = self._cloudformation.get_template(StackName=self.name, TemplateStage="Original")
        return dict(response["TemplateBody"])

    def preview(self, template: dict[str, Any]) -> bool:
        """Print what `deploy` would do, and return whether that is anything. Changes nothing.

        The templates are compared here, because a change set would have to be stored in AWS.
        """
        status = self._check_idle()
        if status in ONLY_DELETABLE:
            print(f"  delete  stack {self.name}, which is {status}")
        if status == ROLLBACK_FAILED:
            print(f"  resume  the rollback of stack {self.name}")
        old, new = self.template(), template
        before, after = old.get("Resources", {}), new["Resources"]
        actions = {name: "add" for name in after if name not in before}
        actions |= {name: "remove" for name in before if name not in after}
        actions |= {
            name: "modify" for name in after if name in before and after[name] != before[name]
        }
        for name, action in sorted(actions.items()):
            print(f"  {action:<7} {name}")
        return old != new

    def deploy(
        self, template_url: str, template: dict[str, Any], parameters: dict[str, str]
    ) -> bool:
        """Update the stack to the template and return whether it differed.

        Deletes a stack first that CloudFormation can only delete, and resumes a rollback that
        failed. If it is interrupted, it cancels the update and waits for the rollback. Raises
        AwsError if CloudFormation reads another document than `template` at the URL, and with AWS's
        first reason if the update fails and has been rolled back.
        """
        status = self._check_idle()
        if status in ONLY_DELETABLE:
            print(f"{self.name} is {status}; deleting it first.", flush=True)
            self.delete()
            status = None
        elif status == ROLLBACK_FAILED:
            self._resume_rollback()
        is_new = status in (None, NEW)
        change_set = self._create_change_set(template_url, parameters, is_new)
        if change_set is None:
            return False
        names = {"StackName": self.name, "ChangeSetName": change_set}
        if self._cloudformation.get_template(**names)["TemplateBody"] != template:
            self._discard(change_set, is_new)
            raise AwsError(f"{template_url} was changed before CloudFormation read it.")
        last_event = None if is_new else self._last_event()
        with interruptible():
            try:
                self._cloudformation.execute_change_set(**names)
                status = self._settle()
            except Interrupted as interrupted:
                raise AwsError(f"{interrupted}. {self.cancel()}") from None
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise AwsError(f"Stack {self.name} is {status}: {self._first_failure(last_event)}")
        return True

    def cancel(self) -> str:
        """Return a stack that is being changed to its previous state; say what state that is.

        A second interruption ends the wait, but not the rollback in AWS.
        """
        status = self.status()
        if status is None or not self._in_progress(status):
            return f"Stack {self.name} is not being changed; it is {status or 'deleted'}."
        try:
            if status == "UPDATE_IN_PROGRESS":
                print(f"Cancelling the update of {self.name}.", flush=True)
                self._cloudformation.cancel_update_stack(StackName=self.name)
            elif status == "CREATE_IN_PROGRESS":  # only an update can be cancelled
                print(f"Cancelling the creation of {self.name}.", flush=True)
                self.delete()
            status = self._settle()
        except KeyboardInterrupt:  # or Interrupted
            return f"CloudFormation continues to return stack {self.name} to its previous state."
        previous = {
            "DELETE_COMPLETE": "has been deleted again",
            "UPDATE_COMPLETE": "had already been updated; `--rollback` restores the release before",
            "UPDATE_ROLLBACK_COMPLETE": "is back at the previous release",
        }
        return f"Stack {self.name} {previous.get(status, f'is {status}')}."

    def delete(self) -> None:
        """Delete the stack if it exists. Raise AwsError if it cannot be deleted."""
        stack = self._describe()
        if stack is None:
            return
        if stack["StackStatus"].startswith("UPDATE_") and self._in_progress(stack["StackStatus"]):
            self._check_idle()
        stack_id = stack["StackId"]  # the name finds no deleted stack
        last_event = self._last_event()
        self._cloudformation.delete_stack(StackName=stack_id)
        stack = poll(
            self._account,
            lambda: self._describe(stack_id) or {"StackStatus": "DELETE_COMPLETE"},
            lambda stack: stack["StackStatus"] in ("DELETE_COMPLETE", "DELETE_FAILED"),
        )
        if stack["StackStatus"] == "DELETE_FAILED":
            raise AwsError(
                f"Cannot delete stack {self.name}: {self._first_failure(last_event)} Delete that "
                f"resource, or keep it with `aws cloudformation delete-stack --stack-name "
                f"{self.name} --retain-resources NAME`, and run this command again."
            )

    def _check_idle(self) -> str | None:
        """Return the status. Raise AwsError if the stack is being changed."""
        status = self.status()
        if status and self._in_progress(status):
            raise AwsError(
                f"Stack {self.name} is {status}. Wait until it is done and try again, or stop it "
                "with `python -m ops api release --cancel --stage STAGE`."
            )
        return status

    @staticmethod
    def _in_progress(status: str) -> bool:
        return status.endswith("_IN_PROGRESS") and status != NEW

    def _resume_rollback(self) -> None:
        print(f"{self.name} is {ROLLBACK_FAILED}; resuming its rollback first.", flush=True)
        last_event = self._last_event()
        self._cloudformation.continue_update_rollback(StackName=self.name)
        if self._settle() == ROLLBACK_FAILED:
            raise AwsError(
                f"Stack {self.name} cannot be rolled back: {self._first_failure(last_event)} "
                "Restore that resource, or skip it with `aws cloudformation "
                f"continue-update-rollback --stack-name {self.name} --resources-to-skip NAME`."
            )

    def _describe(self, name: str | None = None) -> dict[str, Any] | None:
        try:
            response = self._cloudformation.describe_stacks(StackName=name or self.name)
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return dict(response["Stacks"][0])

    def _create_change_set(
        self, template_url: str, parameters: dict[str, str], is_new: bool
    ) -> str | None:
        """Create a change set, print its changes and return its ARN; None if there are none."""
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"{self.name}-{time.time_ns()}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateURL=template_url,
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            Capabilities=_CAPABILITIES,
            Tags=self._account.settings.tag_list(),
        )["Id"]
        # AWS authorises a change set that is addressed by its ARN alone by that ARN, and not by the
        # stack's, so the stack is always named, too.
        names = {"StackName": self.name, "ChangeSetName": change_set}
        description: dict[str, Any] = poll(
            self._account,
            lambda: self._cloudformation.describe_change_set(**names),
            lambda description: description["Status"] in ("CREATE_COMPLETE", "FAILED"),
        )
        if description["Status"] == "FAILED":
            self._discard(change_set, is_new)
            reason = description.get("StatusReason", "")
            if any(text in reason for text in _UNCHANGED):
                return None
            raise AwsError(f"CloudFormation rejected the template: {reason}")
        pages = self._cloudformation.get_paginator("describe_change_set").paginate(**names)
        for change in (change for page in pages for change in page["Changes"]):
            resource = change["ResourceChange"]
            replaced = " (replaced)" if resource.get("Replacement") == "True" else ""
            action = resource["Action"].lower()
            print(f"  {action:<7} {resource['LogicalResourceId']}{replaced}", flush=True)
        return str(change_set)

    def _discard(self, change_set: str, is_new: bool) -> None:
        """Delete a change set, and the empty stack that it created."""
        self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
        if is_new:
            self._cloudformation.delete_stack(StackName=self.name)

    def _settle(self) -> str:
        return poll(
            self._account,
            lambda: self.status() or "DELETE_COMPLETE",
            # a stack whose change set was just executed may still be in review
            lambda status: not status.endswith("_IN_PROGRESS"),
            lambda status: f"{self.name}: {status}",
        )

    def _last_event(self) -> str | None:
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        return str(events[0]["EventId"]) if events else None

    def _first_failure(self, last_event: str | None) -> str:
        """Return why the first resource after `last_event` failed: it makes the others fail."""
        reason = "AWS gives no reason."
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=self.name):
            for event in page["StackEvents"]:  # newest first
                if event["EventId"] == last_event:
                    return reason
                if event.get("ResourceStatus", "").endswith("_FAILED"):
                    text = event.get("ResourceStatusReason", "no reason").rstrip(".")
                    reason = f"{event['LogicalResourceId']}: {text}."
        return reason
