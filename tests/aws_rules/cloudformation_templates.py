"""What CloudFormation refuses in a template before it creates anything."""

import re
from collections.abc import Iterator
from typing import Any

from moto.cloudformation.models import cloudformation_backends

from tests.aws_rules.cloudformation import CHANGES, GUIDE, error, template_of
from tests.aws_rules.rules import Request, rule

_SECTIONS = {
    "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings",
    "Conditions", "Transform", "Resources", "Outputs", "Hooks", "Globals",
}  # fmt: skip
_ATTRIBUTES = {
    "Type", "Properties", "DependsOn", "Condition", "CreationPolicy", "DeletionPolicy",
    "UpdatePolicy", "UpdateReplacePolicy", "Metadata",
}  # fmt: skip


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/template-anatomy.html")
def sections_are_known(request: Request) -> None:
    """A template has resources and no unknown sections; resources have no unknown attributes."""
    template = template_of(request)
    if not template:
        return
    if unknown := set(template) - _SECTIONS:
        raise error(f"Invalid template property or properties {sorted(unknown)}")
    if not template.get("Resources"):
        raise error("Template format error: At least one Resources member must be defined.")
    for name, resource in template["Resources"].items():
        if unknown := set(resource) - _ATTRIBUTES:
            raise error(f"Invalid template resource property {sorted(unknown)} of {name}")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/resources-section-structure.html")
def logical_ids_are_alphanumeric(request: Request) -> None:
    """The names of resources, parameters and outputs are up to 255 letters and digits."""
    template = template_of(request)
    for section in ("Resources", "Parameters", "Outputs"):
        for name in template.get(section, {}):
            if not re.fullmatch("[A-Za-z0-9]{1,255}", name):
                raise error(f"Template format error: {section} name {name} is non alphanumeric.")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/cloudformation-limits.html")
def descriptions_are_short(request: Request) -> None:
    """A template's description has up to 1,024 bytes, as that of an output; others 4,000."""
    template = template_of(request)
    descriptions = [(template.get("Description", ""), 1_024)]
    descriptions += [
        (each.get("Description", ""), 1_024) for each in template.get("Outputs", {}).values()
    ]
    descriptions += [
        (each.get("Description", ""), 4_000) for each in template.get("Parameters", {}).values()
    ]
    for text, limit in descriptions:
        if len(text.encode()) > limit:
            raise error(f"Template format error: Description is longer than {limit} bytes")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/aws-attribute-dependson.html")
def references_exist(request: Request) -> None:
    """Ref, Fn::GetAtt and DependsOn name resources or parameters of the template, not in a circle.

    SAM generates some: `Ref` of RestAPI.Stage, and what follows the name of a resource.
    """
    template = template_of(request)
    known = set(template.get("Resources", {})) | set(template.get("Parameters", {}))
    for name in _references(template):
        resource = name.partition(".")[0]
        if not name.startswith("AWS::") and not any(resource.startswith(each) for each in known):
            raise error(f"Template format error: Unresolved resource dependencies [{name}]")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/aws-attribute-deletionpolicy.html")
def policies_of_resources_are_known(request: Request) -> None:
    """DeletionPolicy and UpdateReplacePolicy are Delete, Retain or Snapshot."""
    allowed = ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate")
    for name, resource in template_of(request).get("Resources", {}).items():
        for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(attribute, "Delete") not in allowed:
                raise error(f"Template error: {attribute} of {name} is not valid")


@rule("cloudformation", *CHANGES, source=f"{GUIDE}/parameters-section-structure.html")
def defaults_satisfy_their_constraints(request: Request) -> None:
    """A parameter's default matches its pattern and its allowed values."""
    for name, each in template_of(request).get("Parameters", {}).items():
        default = str(each.get("Default", ""))
        pattern, allowed = each.get("AllowedPattern"), each.get("AllowedValues")
        if "Default" in each and (
            (pattern and not re.fullmatch(pattern, default)) or (allowed and default not in allowed)
        ):
            raise error(f"Template error: the default of {name} violates its constraints")


@rule("cloudformation", "DeleteStack", source=f"{GUIDE}/using-cfn-protect-stacks.html")
def protected_stacks_stay(request: Request) -> None:
    """A stack with termination protection is not deleted."""
    name = request.parameters["StackName"]
    backend = cloudformation_backends[request.account][request.region]
    for stack in backend.stacks.values():
        if name in (stack.name, stack.stack_id) and getattr(stack, "protected", False):
            raise error(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else str(item)
            elif key == "DependsOn":
                yield from [item] if isinstance(item, str) else item
            else:
                yield from _references(item)
