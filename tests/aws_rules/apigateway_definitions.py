"""What API Gateway refuses in the OpenAPI or Swagger document of an API."""

import json
import re
from collections import defaultdict
from typing import Any

from tests.aws_rules.rules import Refused, Request, rule

GUIDE = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
_IMPORT = ("ImportRestApi", "PutRestApi")
_METHODS = {
    "get",
    "put",
    "post",
    "delete",
    "options",
    "head",
    "patch",
    "x-amazon-apigateway-any-method",
}
_BYTES, _RESOURCES = 6 * 1024 * 1024, 300


def check(document: dict[str, Any]) -> None:
    """Raise Refused for a definition that API Gateway would not import."""
    for each in (_check_size, _check_paths, _check_siblings, _check_methods, _check_settings):
        each(document)


@rule("apigateway", *_IMPORT, source=f"{GUIDE}/limits.html")
def definitions_are_small(request: Request) -> None:
    """A definition has at most 6 MB and 300 resources."""
    _check_size(_document(request))


@rule("apigateway", *_IMPORT, source=f"{GUIDE}/api-gateway-known-issues.html")
def paths_have_valid_parts(request: Request) -> None:
    """A part of a path has a-zA-Z0-9._-:, or is a variable; only the last may be greedy."""
    _check_paths(_document(request))


@rule("apigateway", *_IMPORT, source=f"{GUIDE}/api-gateway-method-settings-method-request.html")
def siblings_have_one_variable(request: Request) -> None:
    """Two siblings do not have path variables of different names."""
    _check_siblings(_document(request))


@rule("apigateway", *_IMPORT, source=f"{GUIDE}/api-gateway-extensions-integration.html")
def methods_have_integrations(request: Request) -> None:
    """Each method has an integration of a known type, with a time limit of 50 ms to 29 s."""
    _check_methods(_document(request))


@rule("apigateway", *_IMPORT, source=f"{GUIDE}/api-gateway-extensions.html")
def settings_are_valid(request: Request) -> None:
    """Media types are TYPE/SUBTYPE; responses are compressed from 0 to 10 MB."""
    _check_settings(_document(request))


def _check_size(document: dict[str, Any]) -> None:
    if len(json.dumps(document).encode()) > _BYTES:
        raise _bad("The definition is larger than 6 MB")
    parts = {
        "/".join(path.split("/")[:end])
        for path in document.get("paths", {})
        for end in range(1, len(path.split("/")) + 1)
    }
    if len(parts) > _RESOURCES:
        raise _bad(f"An API has at most {_RESOURCES} resources")


def _check_paths(document: dict[str, Any]) -> None:
    for path in document.get("paths", {}):
        *parents, last = path.strip("/").split("/")
        for part in filter(None, [*parents, last]):
            if not re.fullmatch(r"[a-zA-Z0-9._\-:]+|\{[a-zA-Z0-9._\-:]+\+?\}", part):
                raise _bad(f"Resource's path part only allow a-zA-Z0-9._-: or a variable: {part}")
            if part.endswith("+}") and part in parents:
                raise _bad(f"A greedy path variable is the last part: {path}")


def _check_siblings(document: dict[str, Any]) -> None:
    variables: dict[str, set[str]] = defaultdict(set)
    for path in document.get("paths", {}):
        parts = path.strip("/").split("/")
        for number, part in enumerate(parts):
            if part.startswith("{"):
                variables["/".join(parts[:number])].add(part)
    for parent, names in variables.items():
        if len(names) > 1:
            raise _bad(f"A sibling of /{parent} already has a variable path part: {sorted(names)}")


def _check_methods(document: dict[str, Any]) -> None:
    for path, methods in document.get("paths", {}).items():
        for method in _METHODS & set(methods):
            integration = methods[method].get("x-amazon-apigateway-integration") or {}
            if integration.get("type") not in ("aws", "aws_proxy", "http", "http_proxy", "mock"):
                raise _bad(f"No integration defined for method {method.upper()} {path}")
            if integration["type"] != "mock" and not integration.get("uri"):
                raise _bad(f"The integration of {method.upper()} {path} has no uri")
            if not 50 <= int(integration.get("timeoutInMillis", 29_000)) <= 29_000:
                raise _bad("Timeout should be between 50 ms and 29000 ms")


def _check_settings(document: dict[str, Any]) -> None:
    for media_type in document.get("x-amazon-apigateway-binary-media-types", []):
        if not re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", media_type):
            raise _bad(f"Invalid binary media type: {media_type}")
    if not 0 <= int(document.get("x-amazon-apigateway-minimum-compression-size", 0)) <= 10_485_760:
        raise _bad("The minimum compression size is 0 to 10485760")
    for name in document.get("definitions", {}):
        if not re.fullmatch("[a-zA-Z0-9]+", name):
            raise _bad(f"Model name must be alphanumeric: {name}")


def _document(request: Request) -> dict[str, Any]:
    body = request.parameters.get("body") or b"{}"
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError:
        raise _bad("Unable to parse the definition") from None
    return document


def _bad(message: str) -> Refused:
    return Refused("BadRequestException", message)
