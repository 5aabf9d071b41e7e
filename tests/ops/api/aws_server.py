"""moto's server, mended where it cannot yet do what a deployment needs.

    python -m tests.ops.api.aws_server PORT

- ImportRestApi and PutRestApi take OpenAPI 3 with a description; Chalice sends Swagger 2. The
  media types that are binary and the type of the endpoint are dropped; here they are kept.
- A SAM template is accepted and nothing is created: it is translated first, by SAM's own code.
- Types that moto's CloudFormation does not know: `stack_models`.
- IAM compares resources and conditions: `enforcement`, once /moto-api/reset-auth turns it on.
"""

import copy
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers import HOST, free_port, process, wait_for


@contextmanager
def aws_server() -> Iterator[str]:
    """The address of a mended moto server."""
    port = free_port()
    command = [sys.executable, "-m", "tests.ops.api.aws_server", str(port)]
    with process(command) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/moto-api/", child)
        yield address


def translate(template: dict[str, Any], region: str) -> dict[str, Any]:
    """The CloudFormation template that AWS's transform makes of a SAM template."""
    import boto3
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    session = boto3.Session(region_name=region)
    translator = Translator({}, Parser(), boto_session=session)
    translated: dict[str, Any] = translator.translate(copy.deepcopy(template), {})
    return translated


def mend() -> None:
    """Change moto within this process."""
    from moto.apigateway.models import APIGatewayBackend
    from moto.apigateway.responses import APIGatewayResponse
    from moto.cloudformation import models as cloudformation

    from tests.ops.api import enforcement, stack_models

    put_rest_api = APIGatewayBackend.put_rest_api
    import_rest_api = APIGatewayBackend.import_rest_api
    answer = APIGatewayResponse.create_rest_api
    parse_template = cloudformation.ChangeSet._parse_template

    def put(self: Any, function_id: str, api_doc: Any, *args: Any, **kwargs: Any) -> Any:
        return put_rest_api(self, function_id, _openapi(api_doc), *args, **kwargs)

    def import_(self: Any, api_doc: Any, fail_on_warnings: bool) -> Any:
        api = import_rest_api(self, _openapi(api_doc), fail_on_warnings)
        api.binaryMediaTypes = api_doc.get("x-amazon-apigateway-binary-media-types", [])
        return api

    def create(self: Any) -> Any:
        status, headers, body = answer(self)
        kind = self.querystring.get("endpointConfigurationTypes")
        if kind:
            api = self.backend.get_rest_api(json.loads(body)["id"])
            api.endpoint_configuration = {"types": kind}
        return status, headers, body

    def parse(self: Any) -> None:
        parse_template(self)
        if "Transform" in self.template_dict:
            self.template_dict = translate(self.template_dict, self.stack.region_name)

    APIGatewayBackend.put_rest_api = put  # type: ignore[method-assign]
    APIGatewayBackend.import_rest_api = import_  # type: ignore[method-assign]
    APIGatewayResponse.create_rest_api = create  # type: ignore[method-assign]
    cloudformation.ChangeSet._parse_template = parse  # type: ignore[method-assign]
    stack_models.register()
    enforcement.enforce()


def _openapi(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a Swagger 2 document that moto reads, as OpenAPI 3."""
    document = json.loads(json.dumps(document))
    document.pop("swagger", None)
    document["openapi"] = "3.0.1"
    document["info"].setdefault("description", "")
    return document


if __name__ == "__main__":
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "testing"
    mend()
    from moto.server import main

    main(["-H", HOST, "-p", sys.argv[1]])
