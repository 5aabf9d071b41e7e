"""Tags, whose rules most services share."""

from collections.abc import Iterator
from typing import Any

import regex
from moto.core.utils import get_service_model

from tests.aws_rules.rules import Refused, Request, rule

_LIMITS = "https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"
_CODES = {
    "application-autoscaling": "ValidationException",
    "cloudformation": "ValidationError",
    "cloudwatch": "ValidationError",
    "codebuild": "InvalidInputException",
    "ecr": "InvalidTagParameterException",
    "ec2": "InvalidParameterValue",
    "iam": "InvalidInput",
    "lambda": "InvalidParameterValueException",
    "logs": "InvalidParameterException",
    "sagemaker": "ValidationException",
}
_CHARACTERS = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")


def _register(service: str) -> None:
    model = get_service_model(service)
    operations = [
        name
        for name in model.operation_names
        if (shape := model.operation_model(name).input_shape)
        and {"Tags", "tags", "TagSpecifications"} & set(shape.members)
        and not name.startswith(("Untag", "Describe"))
    ]

    @rule(service, *operations, source=_LIMITS)
    def tags_are_valid(request: Request) -> None:
        """At most 50 tags, unique keys of 1 to 128 characters without aws:, values up to 256."""
        for tags in _lists(request.parameters):
            if len(tags) > 50:
                raise Refused(_CODES[service], f"{len(tags)} tags: a resource has at most 50")
            for key, value in tags.items():
                if reason := _problem(key, value):
                    raise Refused(_CODES[service], f"Tag {key}={value}: {reason}")


def _lists(parameters: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield each list of tags as a dictionary."""
    for specification in parameters.get("TagSpecifications") or []:
        yield from _lists(specification)
    for tags in (parameters.get("Tags"), parameters.get("tags")):
        if isinstance(tags, dict):
            yield tags
        elif tags:
            pairs = [
                [tag.get(name) or tag.get(name.lower()) for name in ("Key", "Value")]
                for tag in tags
            ]
            yield {str(key or ""): str(value or "") for key, value in pairs}


def _problem(key: str, value: str) -> str:
    if not 1 <= len(key) <= 128:
        return "a key has 1 to 128 characters"
    if len(value) > 256:
        return "a value has at most 256 characters"
    if key.lower().startswith("aws:"):
        return "keys that start with aws: are reserved"
    if not (_CHARACTERS.fullmatch(key) and _CHARACTERS.fullmatch(value)):
        return "letters, digits, spaces and _.:/=+-@ are allowed"
    return ""


for _service in _CODES:
    _register(_service)
