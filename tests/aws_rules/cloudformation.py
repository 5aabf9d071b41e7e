"""What CloudFormation refuses: templates, parameters, capabilities, and stacks in a wrong state."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from moto.cloudformation.models import cloudformation_backends
from moto.s3.models import s3_backends

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_"
GUIDE = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide"
QUOTAS = f"{GUIDE}/cloudformation-limits.html"
INLINE_BYTES, S3_BYTES = 51_200, 1_048_576
UPDATABLE = {
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE", "UPDATE_FAILED",
}  # fmt: skip
CHANGES = ("CreateChangeSet", "CreateStack", "UpdateStack")


def error(message: str) -> Refused:
    return Refused("ValidationError", message)


def _stack(request: Request) -> Any:
    """Return moto's stack of the request, or None."""
    name = request.parameters.get("StackName")
    backend = cloudformation_backends[request.account][request.region]
    stacks = [each for each in backend.stacks.values() if name in (each.name, each.stack_id)]
    return stacks[-1] if stacks else None


def _change_set(request: Request) -> Any:
    name = request.parameters["ChangeSetName"]
    change_sets = cloudformation_backends[request.account][request.region].change_sets
    named = [each for arn, each in change_sets.items() if name in (arn, each.change_set_name)]
    return named[0] if named else None


def _content(request: Request) -> str:
    """Return the template, at its URL or in the request; "" if S3 has none."""
    url = request.parameters.get("TemplateURL")
    if not url:
        return str(request.parameters.get("TemplateBody") or "")
    parts = urlsplit(url)
    bucket, key = parts.netloc.partition(".s3")[0], parts.path.lstrip("/")
    if bucket == parts.netloc:  # path style
        bucket, _, key = key.partition("/")
    item = s3_backends[request.account]["aws"].buckets.get(bucket)
    found = item and item.keys.get(key)
    return found.value.decode() if found else ""


@rule("cloudformation", *CHANGES, source=QUOTAS)
def template_fits(request: Request) -> None:
    """A template has at most 51,200 bytes in a request and 1 MB in S3, and 500 resources."""
    size = len(_content(request).encode())
    limit = S3_BYTES if request.parameters.get("TemplateURL") else INLINE_BYTES
    if size > limit:
        raise error(f"Template length of {size} bytes exceeds the limit of {limit} bytes")
    template = template_of(request)
    for section, most in (("Resources", 500), ("Outputs", 200), ("Parameters", 200)):
        if len(template.get(section, {})) > most:
            raise error(f"Template format error: Number of {section} exceeds maximum {most}")


def template_of(request: Request) -> dict[str, Any]:
    try:
        template: dict[str, Any] = json.loads(_content(request) or "{}")
    except ValueError:
        return {}  # YAML, which only moto's own tests send
    return template


@rule("cloudformation", *CHANGES, source=f"{API}CreateChangeSet.html")
def template_is_at_an_s3_url(request: Request) -> None:
    """A template's URL is an HTTPS URL of S3, and names an existing object."""
    url = request.parameters.get("TemplateURL")
    if url is None:
        return
    if not re.fullmatch(r"https://[^/]*s3[.-][^/]*amazonaws\.com(\.cn)?/.+", url):
        raise error(f"S3 error: Domain name specified in {url} is not a valid S3 domain")
    if not _content(request):
        raise error("S3 error: Access Denied")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/parameters-section-structure.html")
def parameters_are_valid(request: Request) -> None:
    """Parameters are in the template, match its constraints, and have up to 4,096 bytes."""
    declared = template_of(request).get("Parameters", {})
    given = {each["ParameterKey"]: each for each in request.parameters.get("Parameters", [])}
    if unknown := set(given) - set(declared):
        names = ", ".join(sorted(unknown))
        raise error(f"Parameters: [{names}] do not exist in the template")
    if missing := [
        name for name, each in declared.items() if name not in given and "Default" not in each
    ]:
        raise error(f"Parameters: [{', '.join(missing)}] must have values")
    for name, each in given.items():
        value = str(each.get("ParameterValue", ""))
        if len(value.encode()) > 4_096:
            raise error(f"Parameter {name} is longer than 4096 bytes")
        pattern = declared[name].get("AllowedPattern")
        if pattern and "ParameterValue" in each and not re.fullmatch(pattern, value):
            raise error(f"Parameter {name} failed to satisfy constraint: {pattern}")


@rule("cloudformation", *CHANGES, source=f"{API}CreateChangeSet.html")
def capabilities_are_acknowledged(request: Request) -> None:
    """A macro needs CAPABILITY_AUTO_EXPAND, IAM resources CAPABILITY_IAM or _NAMED_IAM."""
    template = template_of(request)
    given = set(request.parameters.get("Capabilities", []))
    needed = {"CAPABILITY_AUTO_EXPAND"} if "Transform" in template else set()
    for resource in template.get("Resources", {}).values():
        if resource["Type"].startswith("AWS::IAM::"):
            named = {"RoleName", "PolicyName", "ManagedPolicyName"} & set(
                resource.get("Properties", {})
            )
            needed |= {"CAPABILITY_NAMED_IAM"} if named else {"CAPABILITY_IAM"}
    if "CAPABILITY_NAMED_IAM" in given:
        given |= {"CAPABILITY_IAM"}
    if missing := sorted(needed - given):
        raise Refused("InsufficientCapabilitiesException", f"Requires capabilities : {missing}")


@rule("cloudformation", "CreateChangeSet", source=f"{GUIDE}/view-stack-events.html")
def stack_can_be_changed(request: Request) -> None:
    """A stack is created only if it is new, and updated only if it is complete."""
    stack, kind = _stack(request), request.parameters.get("ChangeSetType", "UPDATE")
    name, status = request.parameters["StackName"], stack.status if stack else None
    if kind == "CREATE" and status not in (None, "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
        raise error(f"Stack [{name}] already exists and cannot be created again")
    if kind == "UPDATE" and stack is None:
        raise error(f"Stack [{name}] does not exist")
    if kind == "UPDATE" and status not in UPDATABLE:
        state = f"{stack.stack_id} is in {status} state and can not be updated."
        raise error(f"Stack:{state}")


@rule(
    "cloudformation",
    *("DescribeChangeSet", "ExecuteChangeSet", "DeleteChangeSet"),
    source=f"{API}ExecuteChangeSet.html",
)
def change_set_is_found(request: Request) -> None:
    """A change set is named by its ARN, or by its name and its stack's."""
    name = request.parameters["ChangeSetName"]
    if not name.startswith("arn:") and not request.parameters.get("StackName"):
        message = "StackName must be specified if ChangeSetName is not specified as an ARN."
        raise error(message)
    if _change_set(request) is None and request.operation != "DeleteChangeSet":
        raise Refused("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


@rule("cloudformation", "ExecuteChangeSet", source=f"{API}ExecuteChangeSet.html")
def change_set_is_available(request: Request) -> None:
    """A change set is executed once, if its execution status is AVAILABLE."""
    change_set = _change_set(request)
    if change_set and change_set.execution_status != "AVAILABLE":
        raise Refused(
            "InvalidChangeSetStatus",
            f"ChangeSet [{change_set.change_set_id}] cannot be executed in its current execution "
            f"status of [{change_set.execution_status}]",
        )


@rule("cloudformation", "CancelUpdateStack", source=f"{API}CancelUpdateStack.html")
def only_updates_are_cancelled(request: Request) -> None:
    """Only a stack in UPDATE_IN_PROGRESS can be cancelled."""
    stack = _stack(request)
    if stack is None or stack.status != "UPDATE_IN_PROGRESS":
        state = stack.status if stack else "missing"
        raise error(f"CancelUpdateStack cannot be called from current stack status: {state}")


@rule("cloudformation", "ContinueUpdateRollback", source=f"{API}ContinueUpdateRollback.html")
def only_failed_rollbacks_continue(request: Request) -> None:
    """Only a stack in UPDATE_ROLLBACK_FAILED can continue to roll back."""
    stack = _stack(request)
    if stack is None or stack.status != "UPDATE_ROLLBACK_FAILED":
        name = request.parameters["StackName"]
        raise error(f"Stack [{name}] is not in UPDATE_ROLLBACK_FAILED state")


@rule("cloudformation", "DeleteStack", source=f"{API}DeleteStack.html")
def stack_can_be_deleted(request: Request) -> None:
    """A stack is not deleted during an update."""
    stack = _stack(request)
    if stack and re.fullmatch("UPDATE_.*IN_PROGRESS", stack.status):
        state = f"cannot be deleted while in status {stack.status}"
        raise error(f"Stack [{request.parameters['StackName']}] {state}")
