"""What API Gateway refuses, and the status codes that it sends itself."""

import re
from typing import Any

from moto.apigateway.models import apigateway_backends

from tests.aws_rules.rules import Refused, Request, rule

GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
API = "https://docs.aws.amazon.com/apigateway/latest/api/API_"
TYPES = {
    "ACCESS_DENIED": 403, "API_CONFIGURATION_ERROR": 500, "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500, "BAD_REQUEST_BODY": 400, "BAD_REQUEST_PARAMETERS": 400,
    "DEFAULT_4XX": None, "DEFAULT_5XX": None, "EXPIRED_TOKEN": 403, "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504, "INVALID_API_KEY": 403, "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403, "QUOTA_EXCEEDED": 429, "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404, "THROTTLED": 429, "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415, "WAF_FILTERED": 403,
}  # fmt: skip
"""The types of gateway responses and their default status codes.

https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""
LAMBDA_THROTTLED = "INTEGRATION_FAILURE"
"""The type of the response when Lambda throttles.

It has a status of 500 unless that type is configured, and then 504 or the configured one:
https://repost.aws/questions/QUL-z6rJbmR4meafB7MzYXxw
"""


def gateway_status(kind: str, responses: dict[str, Any]) -> int:
    """Return the status code of an error of API Gateway; `responses` are the configured ones.

    A type that is not configured falls back to DEFAULT_4XX or DEFAULT_5XX, with its status code if
    that has one.
    """
    default = TYPES[kind] or 500
    if kind in responses:
        return int(responses[kind].get("statusCode") or default)
    if kind == LAMBDA_THROTTLED:
        default = 500
    family = "DEFAULT_4XX" if default < 500 else "DEFAULT_5XX"
    return int(responses.get(family, {}).get("statusCode") or default)


def _bad(message: str) -> Refused:
    return Refused("BadRequestException", message)


@rule("apigateway", "PutGatewayResponse", source=f"{API}PutGatewayResponse.html")
def gateway_response_is_valid(request: Request) -> None:
    """A gateway response has a known type, a status code, and templates that only use $context."""
    kind = request.parameters["responseType"]
    status = request.parameters.get("statusCode")
    if kind not in TYPES:
        raise _bad(f"Invalid response type specified: {kind}")
    if status is not None and not re.fullmatch("[1-5][0-9][0-9]", str(status)):
        raise _bad(f"Invalid status code specified: {status}")
    for name, value in (request.parameters.get("responseParameters") or {}).items():
        if not re.fullmatch(r"gatewayresponse\.header\.[A-Za-z0-9-]+", name):
            raise _bad(f"Invalid response parameter specified: {name}")
        if not re.fullmatch(r"'[^']*'|(method\.request|context|stageVariables)\..+", value):
            raise _bad(f"Invalid mapping expression specified: {value}")


@rule("apigateway", "CreateRestApi", source=f"{API}CreateRestApi.html")
def api_has_a_name(request: Request) -> None:
    """An API has a name of at most 1,024 characters and one endpoint type."""
    if not 1 <= len(request.parameters.get("name") or "") <= 1_024:
        raise _bad("Invalid API name specified")
    types = (request.parameters.get("endpointConfiguration") or {}).get("types") or ["EDGE"]
    if len(types) != 1 or types[0] not in ("EDGE", "REGIONAL", "PRIVATE"):
        raise _bad(f"Invalid endpoint types specified: {types}")


@rule("apigateway", "CreateStage", "CreateDeployment", source=f"{API}CreateDeployment.html")
def stage_name_is_valid(request: Request) -> None:
    """A stage's name has letters, digits, - and _, up to 128."""
    name = request.parameters.get("stageName")
    if name and not re.fullmatch("[a-zA-Z0-9_-]{1,128}", name):
        raise _bad("Stage name only allows a-zA-Z0-9_-")


@rule("apigateway", "CreateDeployment", source=f"{API}CreateDeployment.html")
def api_has_methods(request: Request) -> None:
    """An API without methods is not deployed."""
    api = apigateway_backends[request.account][request.region].apis.get(
        request.parameters["restApiId"]
    )
    if api and not any(resource.resource_methods for resource in api.resources.values()):
        raise _bad("The REST API doesn't contain any methods")


@rule("apigateway", "TagResource", "CreateRestApi", source=f"{GUIDE}/apigateway-tagging.html")
def tags_are_valid(request: Request) -> None:
    """At most 50 tags, with keys of up to 128 characters that do not begin with aws:."""
    tags = request.parameters.get("tags") or {}
    if len(tags) > 50:
        raise _bad("A resource has at most 50 tags")
    for key, value in tags.items():
        if key.lower().startswith("aws:") or not 1 <= len(key) <= 128 or len(value) > 256:
            raise _bad(f"Invalid tag: {key}")
