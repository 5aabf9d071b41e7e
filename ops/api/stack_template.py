"""The template of a stack release, made from the SAM template of `chalice package`."""

import copy
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from aws.stages import Stage
from ops.api import gateway_responses
from ops.api.bundle import Bundle
from ops.iam import api_roles

ALIAS = "APIHandlerAliaslive"
VERSION = "APIHandlerVersion"
# Lambda publishes no version if only these change, and then CloudFormation fails.
_UNVERSIONED = {"ReservedConcurrentExecutions", "Tags"}


def build(stage: Stage, built: Bundle, code_uri: str) -> dict[str, Any]:
    """Return the template that releases the bundle at `code_uri`.

    The function gets the role that an administrator has created. Lambda publishes its version only
    if the code has the bundle's SHA-256, so no traffic can reach other code.
    """
    template = copy.deepcopy(built.template)
    resources = template["Resources"]
    del resources["ApiHandlerRole"]
    role = f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{api_roles.function_role(stage)}"
    function = resources["APIHandler"]["Properties"]
    function |= {"CodeUri": code_uri, "Role": {"Fn::Sub": role}}
    api = resources["RestAPI"]["Properties"]
    origin = function["Environment"]["Variables"].get("CORS_ALLOW_ORIGIN", "")
    api["GatewayResponses"] = gateway_responses.with_cors(
        api["GatewayResponses"] | gateway_responses.RESPONSES, origin
    )
    resources[VERSION]["Properties"]["CodeSha256"] = built.code_sha256
    # A version cannot be updated, so each has a resource of its own.
    versioned = {key: value for key, value in function.items() if key not in _UNVERSIONED}
    suffix = hashlib.sha256(json.dumps(versioned, sort_keys=True).encode()).hexdigest()[:10]
    text = json.dumps(template).replace(f'"{VERSION}"', f'"{VERSION}{suffix}"')
    return dict(json.loads(text))


def provisioned_concurrency(template: dict[str, Any]) -> int:
    """Return the provisioned concurrency of the alias; 0 if it has none."""
    alias = template["Resources"].get(ALIAS, {}).get("Properties", {})
    return int(
        alias.get("ProvisionedConcurrencyConfig", {}).get("ProvisionedConcurrentExecutions", 0)
    )


def reserved_concurrency(template: dict[str, Any]) -> int | None:
    """Return the reserved concurrency of the function, or None if it has none."""
    reserved = template["Resources"]["APIHandler"]["Properties"].get("ReservedConcurrentExecutions")
    return None if reserved is None else int(reserved)


def routes_bypassing_alias(template: dict[str, Any]) -> list[str]:
    """Return `METHOD /path` of each route that does not target the alias `live`.

    Provisioned concurrency and traffic shifting apply to the alias only. `template` is a SAM
    template, transformed or not. The list also contains the name of the invoke permission if that
    is not for the alias.
    """
    resources = template["Resources"]
    api = resources["RestAPI"]["Properties"]
    paths = (api.get("DefinitionBody") or api["Body"])["paths"]
    bypassing = [
        f"{method.upper()} {path}"
        for path, method, integration in _integrations(paths)
        if f"functions/${{{ALIAS}}}/invocations" not in json.dumps(integration.get("uri"))
    ]
    permission = resources["APIHandlerInvokePermission"]["Properties"]
    if permission["FunctionName"] != {"Ref": ALIAS}:
        bypassing.append("APIHandlerInvokePermission")
    return bypassing


def _integrations(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and integration of every operation that calls Lambda."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            if integration.get("type") != "mock":  # CORS preflights
                yield path, method, integration
