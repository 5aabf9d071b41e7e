"""The limits of AWS's service models: lengths, ranges, patterns and enumerations of parameters.

botocore checks types and minimum lengths before it sends a request; the services check the rest.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import regex
from moto.core.model import Shape
from moto.core.utils import get_service_model

from tests.aws_rules.rules import Refused, Request, rule

# The services whose models are complete and that validate requests against them, and the code of
# the error.
_CODES = {
    "application-autoscaling": "ValidationException",
    "budgets": "InvalidParameterException",
    "cloudformation": "ValidationError",
    "cloudwatch": "ValidationError",
    "codebuild": "InvalidInputException",
    "ecr": "InvalidParameterException",
    "iam": "ValidationError",
    "kms": "ValidationException",
    "lambda": "ValidationException",
    "logs": "InvalidParameterException",
    "sagemaker": "ValidationException",
    "service-quotas": "IllegalArgumentException",
    "ssm": "ValidationException",
    "sts": "ValidationError",
}
_URL = "https://docs.aws.amazon.com"
_SOURCES = {
    "application-autoscaling": f"{_URL}/autoscaling/application/APIReference/Welcome.html",
    "budgets": f"{_URL}/aws-cost-management/latest/APIReference/Welcome.html",
    "cloudformation": f"{_URL}/AWSCloudFormation/latest/APIReference/Welcome.html",
    "cloudwatch": f"{_URL}/AmazonCloudWatch/latest/APIReference/Welcome.html",
    "codebuild": f"{_URL}/codebuild/latest/APIReference/Welcome.html",
    "ecr": f"{_URL}/AmazonECR/latest/APIReference/Welcome.html",
    "iam": f"{_URL}/IAM/latest/APIReference/welcome.html",
    "kms": f"{_URL}/kms/latest/APIReference/Welcome.html",
    "lambda": f"{_URL}/lambda/latest/api/welcome.html",
    "logs": f"{_URL}/AmazonCloudWatchLogs/latest/APIReference/Welcome.html",
    "sagemaker": f"{_URL}/sagemaker/latest/APIReference/Welcome.html",
    "service-quotas": f"{_URL}/servicequotas/2019-06-24/apireference/Welcome.html",
    "ssm": f"{_URL}/systems-manager/latest/APIReference/Welcome.html",
    "sts": f"{_URL}/STS/latest/APIReference/welcome.html",
}


def _register(service: str) -> None:
    model = get_service_model(service)

    @rule(service, *model.operation_names, source=_SOURCES[service])
    def parameters_match_the_model(request: Request) -> None:
        """Every parameter has the length, range, pattern and values of the service's model."""
        shape = model.operation_model(request.operation).input_shape
        for violation in _violations(shape, request.parameters, "") if shape else ():
            message = f"1 validation error detected: {violation}"
            raise Refused(_CODES[service], message)


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    failed = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
    limits = shape.metadata
    if value is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _violations(member, value.get(name), f"{path}.{name}".lstrip("."))
        return
    if shape.type_name in ("list", "map", "string"):
        if not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
            yield f"{failed} have length between {limits.get('min', 0)} and {limits.get('max')}"
    elif shape.type_name in ("integer", "long", "float", "double") and not (
        limits.get("min", value) <= value <= limits.get("max", value)
    ):
        yield f"{failed} be between {limits.get('min')} and {limits.get('max')}"
    match shape.type_name:
        case "list":
            for number, item in enumerate(value, 1):
                yield from _violations(shape.member, item, f"{path}.{number}.member")
        case "map":
            for key, item in value.items():
                yield from _violations(shape.key, key, f"{path}.key")
                yield from _violations(shape.value, item, f"{path}.{key}")
        case "string":
            if shape.enum and value not in shape.enum:
                yield f"{failed} satisfy enum value set: {shape.enum}"
            if (pattern := limits.get("pattern")) and not _compiled(pattern).fullmatch(value):
                yield f"{failed} satisfy regular expression pattern: {pattern}"


@cache
def _compiled(pattern: str) -> Any:
    """Compile a pattern of Java: classes such as \\p{L}, and characters as pairs of surrogates."""
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return regex.compile(pattern, regex.DOTALL)


for _service in _CODES:
    _register(_service)
