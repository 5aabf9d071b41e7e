"""Check that every API route targets the alias `live`, not $LATEST.

Provisioned concurrency and traffic shifting apply to the alias only. A route that calls the
function directly never reaches a provisioned instance and runs a new version at once.
"""

import json
from collections.abc import Iterator
from typing import Any

ALIAS = "APIHandlerAliaslive"
"""SAM's name for the alias `live` of the function `APIHandler`.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources-function.html
"""


def routes_bypassing_alias(template: dict[str, Any]) -> list[str]:
    """Return `METHOD /path` of each route that does not target the alias.

    `template` is a SAM template, transformed or not. The list also contains the name of the invoke
    permission if that is not for the alias.
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
