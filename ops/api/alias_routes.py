"""Whether every route of the API goes through the alias, and none past it to $LATEST.

Provisioned concurrency and traffic shifting belong to the alias: a route that calls the function
itself never meets a provisioned instance, and gets a new version at once.
"""

import json
from collections.abc import Iterator
from typing import Any

ALIAS = "APIHandlerAliaslive"
"""What SAM calls the alias `live` of the function `APIHandler`.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources-function.html
"""


def past_the_alias(template: dict[str, Any]) -> list[str]:
    """`METHOD /path` of each route of a SAM template, or of one translated from it, that does not
    go through the alias; and the invoke permission's name if it is not for the alias.
    """
    resources = template["Resources"]
    api = resources["RestAPI"]["Properties"]
    paths = (api.get("DefinitionBody") or api["Body"])["paths"]
    missing = [
        f"{method.upper()} {path}"
        for path, method, integration in _integrations(paths)
        if f"functions/${{{ALIAS}}}/invocations" not in json.dumps(integration.get("uri"))
    ]
    permission = resources["APIHandlerInvokePermission"]["Properties"]
    if permission["FunctionName"] != {"Ref": ALIAS}:
        missing.append("APIHandlerInvokePermission")
    return missing


def _integrations(paths: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and integration of whatever calls Lambda; CORS preflights call nothing."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            if integration.get("type") != "mock":
                yield path, method, integration
