"""Corrections to moto's API Gateway, for the lifetime of the process.

moto's ImportRestApi and PutRestApi accept OpenAPI 3 with a description, but Chalice sends Swagger
2. moto also drops the binary media types and the endpoint type, and tags stages only.
"""

import json
from typing import Any
from urllib.parse import unquote

from moto.apigateway import urls
from moto.apigateway.models import APIGatewayBackend
from moto.apigateway.responses import APIGatewayResponse

_put_rest_api = APIGatewayBackend.put_rest_api
_import_rest_api = APIGatewayBackend.import_rest_api
_create_rest_api = APIGatewayResponse.create_rest_api


def correct() -> None:
    """Apply the corrections."""
    APIGatewayBackend.put_rest_api = put_rest_api  # type: ignore[method-assign]
    APIGatewayBackend.import_rest_api = import_rest_api  # type: ignore[method-assign]
    APIGatewayResponse.create_rest_api = create_rest_api  # type: ignore[method-assign]
    APIGatewayResponse.tag_resource = tag_resource  # type: ignore[method-assign]
    APIGatewayResponse.untag_resource = untag_resource  # type: ignore[method-assign]
    [stages] = [path for path in urls.url_paths if path.startswith("{0}/tags/arn")]
    urls.url_paths[stages.partition("/stages/")[0] + "$"] = APIGatewayResponse.dispatch


def put_rest_api(self: Any, function_id: str, api_doc: Any, *args: Any, **kwargs: Any) -> Any:
    return _put_rest_api(self, function_id, _openapi_3(api_doc), *args, **kwargs)


def import_rest_api(self: Any, api_doc: Any, fail_on_warnings: bool) -> Any:
    api = _import_rest_api(self, _openapi_3(api_doc), fail_on_warnings)
    api.binaryMediaTypes = api_doc.get("x-amazon-apigateway-binary-media-types", [])
    return api


def create_rest_api(self: Any) -> Any:
    status, headers, body = _create_rest_api(self)
    endpoint_types = self.querystring.get("endpointConfigurationTypes")
    if endpoint_types:
        api = self.backend.get_rest_api(json.loads(body)["id"])
        api.endpoint_configuration = {"types": endpoint_types}
    return status, headers, body


def tag_resource(self: Any) -> str:
    _tags(self).update(self._get_param("tags"))
    return "{}"


def untag_resource(self: Any) -> str:
    for key in self.querystring["tagKeys"]:
        _tags(self).pop(key, None)
    return "{}"


def _tags(response: Any) -> dict[str, str]:
    """The tags of the REST API whose ARN ends the path."""
    api = unquote(response.path).rpartition("/")[2]
    tags: dict[str, str] = response.backend.get_rest_api(api).tags
    return tags


def _openapi_3(swagger: dict[str, Any]) -> dict[str, Any]:
    """Convert the part of a Swagger 2 document that moto reads."""
    document: dict[str, Any] = json.loads(json.dumps(swagger))
    document.pop("swagger", None)
    document["openapi"] = "3.0.1"
    document["info"].setdefault("description", "")
    for methods in document["paths"].values():
        for operation in methods.values():
            integration = operation.get("x-amazon-apigateway-integration", {})
            if integration.get("type") == "mock":  # moto requires members that these do not have
                integration.update(uri="", httpMethod="")
    return document
