"""What CloudFormation does with a stack over time, and moto does not.

`STATE.stack_hangs` keeps an executed change set in progress until it is cancelled. `STATE.on_stack`
is called whenever stacks are described.
"""

from typing import Any

from moto.cloudformation.models import CloudFormationBackend, cloudformation_backends
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

_execute = CloudFormationBackend.execute_change_set
_delete_change_set = CloudFormationBackend.delete_change_set
_create_change_set = CloudFormationBackend.create_change_set
_describe_stacks = CloudFormationResponse.describe_stacks
_get_template = CloudFormationResponse.get_template
_NEXT = {
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS": "DELETE_COMPLETE",
}


def replacements(state: Any) -> list[tuple[Any, str, Any]]:
    """Return what to replace in moto: owner, name and replacement."""

    def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        if not state.stack_hangs:
            _execute(self, change_set_name, stack_name)
            return
        named = [
            each
            for arn, each in self.change_sets.items()
            if change_set_name in (arn, each.change_set_name)
        ]
        [change_set] = named
        change_set.execution_status = "EXECUTE_IN_PROGRESS"
        stack = self.stacks[change_set.stack_id]
        stack.status = f"{change_set.change_set_type}_IN_PROGRESS"

    def describe_stacks(self: Any) -> ActionResult:
        """Let a rollback end after it was seen once."""
        state.on_stack()
        response: ActionResult = _describe_stacks(self)
        backend = cloudformation_backends[self.current_account][self.region]
        stacks: list[Any] = list(backend.stacks.values())
        for stack in stacks:
            stack.status = getattr(stack, "next_status", None) or stack.status
            stack.next_status = _NEXT.get(stack.status)
        return response

    return [
        (CloudFormationBackend, "execute_change_set", execute_change_set),
        (CloudFormationBackend, "create_change_set", create_change_set),
        (CloudFormationBackend, "delete_change_set", delete_change_set),
        (CloudFormationResponse, "describe_stacks", describe_stacks),
        (CloudFormationResponse, "get_template", get_template),
        (CloudFormationResponse, "cancel_update_stack", roll_back),
        (CloudFormationResponse, "continue_update_rollback", roll_back),
    ]


def create_change_set(self: Any, stack_name: str, *args: Any, **kwargs: Any) -> tuple[str, str]:
    """moto creates a second stack for the second change set of a stack in review."""
    for stack in list(self.stacks.values()):
        if stack.name == stack_name and stack.status == "REVIEW_IN_PROGRESS":
            del self.stacks[stack.stack_id]
    return _create_change_set(self, stack_name, *args, **kwargs)


def delete_change_set(self: Any, change_set_name: str) -> None:
    """moto fails if there is no change set of the name."""
    if any(
        change_set_name in (arn, each.change_set_name) for arn, each in self.change_sets.items()
    ):
        _delete_change_set(self, change_set_name)


def get_template(self: Any) -> ActionResult:
    """moto returns the stack's template even if the template of a change set is requested."""
    change_set = self.cloudformation_backend.change_sets.get(self._get_param("ChangeSetName"))
    if change_set is None:
        return _get_template(self)
    return ActionResult({"TemplateBody": change_set.template})


def roll_back(self: Any) -> EmptyResult:
    """moto has neither CancelUpdateStack nor ContinueUpdateRollback."""
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.status, stack.next_status = "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"
    return EmptyResult()
