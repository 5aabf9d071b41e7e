"""Check what is there already: the endpoint, and the stack of the API."""

from collections.abc import Iterator

from aws import endpoints
from ops.api import cloudformation_stack
from ops.api.cloudformation_stack import Stack
from ops.deployment import Deployment
from ops.doctor.line import Line, Status


def endpoint(deployment: Deployment) -> Iterator[Line]:
    """Check that the endpoint, if it exists, is in service."""
    stage = deployment.stage
    description = endpoints.describe(deployment.account, stage.endpoint)
    if description is None:
        yield Line(Status.TO_DO, "endpoint", f"{stage.endpoint} does not exist")
        return
    status = description["EndpointStatus"]
    detail, up = f"{stage.endpoint} is {status}", f"python -m ops up --stage {stage.name}"
    if status == "InService":
        yield Line(Status.OK, "endpoint", detail)
    elif status == "Failed":
        reason = description.get("FailureReason", "AWS gives no reason")
        yield Line(Status.WARNING, "endpoint", f"{detail}: {reason}", f"{up} replaces it")
    else:
        yield Line(Status.WARNING, "endpoint", detail, f"wait, or run {up}, which waits")


def stack(deployment: Deployment) -> Iterator[Line]:
    """Check that the stack, if it exists, can be updated."""
    if not deployment.has_stack:
        return
    name = deployment.stage.function
    status = Stack(deployment.account, name).status()
    if status is None:
        yield Line(Status.TO_DO, "stack", f"{name} does not exist")
    elif status == cloudformation_stack.ROLLBACK_FAILED:
        fix = "the next release resumes its rollback"
        yield Line(Status.WARNING, "stack", f"{name} is {status}", fix)
    elif status in cloudformation_stack.ONLY_DELETABLE:
        fix = "the next release deletes it and creates it again"
        yield Line(Status.WARNING, "stack", f"{name} is {status}", fix)
    elif status.endswith("_IN_PROGRESS") and status != cloudformation_stack.NEW:
        fix = f"wait until it is done, or make cancel STAGE={deployment.stage.name}"
        yield Line(Status.BLOCKS, "stack", f"{name} is {status}", fix)
    else:
        yield Line(Status.OK, "stack", f"{name} is {status}")
