"""What API Gateway answers if the function does not, in every stage.

By default it turns a throttled function into 500. If INTEGRATION_FAILURE is configured, it uses
that: https://repost.aws/questions/QUL-z6rJbmR4meafB7MzYXxw
https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

import json
from typing import Any

from aws.account import Account

Responses = dict[str, dict[str, Any]]
_TEMPLATE = "application/json"
_HEADERS = {"Content-Type": "'application/problem+json'", "Cache-Control": "'no-store'"}


def _response(status: int, document: dict[str, str], **headers: str) -> dict[str, Any]:
    body = {**document, "status": status, "request_id": "$context.requestId"}
    return {
        "StatusCode": status,
        "ResponseParameters": {"Headers": {**_HEADERS, **headers}},
        "ResponseTemplates": {_TEMPLATE: json.dumps(body)},
    }


RESPONSES: Responses = {
    "INTEGRATION_FAILURE": _response(
        503,
        {
            "type": "service-busy",
            "title": "The service is busy",
            "detail": "Too many requests are being processed. Wait a second and try again.",
        },
        **{"Retry-After": "'1'"},
    ),
    # without it, a status code of DEFAULT_5XX would replace 504
    "INTEGRATION_TIMEOUT": _response(
        504,
        {
            "type": "endpoint-timeout",
            "title": "The model took too long",
            "detail": "The request was not processed in 29 seconds.",
        },
    ),
}
"""The responses by type, as SAM's GatewayResponses."""


def with_cors(responses: Responses, origin: str) -> Responses:
    """Let pages of `origin` read the responses, as they read those of the function; "": no page."""
    allow = {
        "Access-Control-Allow-Origin": f"'{origin}'",
        "Access-Control-Expose-Headers": "'Retry-After,X-Request-Id'",
    }
    return {
        kind: {
            **response,
            "ResponseParameters": {
                "Headers": response["ResponseParameters"]["Headers"] | (allow if origin else {})
            },
        }
        for kind, response in responses.items()
    }


def put(account: Account, api_id: str, gateway_stage: str, origin: str) -> None:
    """Configure the responses of an API that Chalice has deployed, and deploy it again.

    Chalice replaces the whole definition of the API in each deployment, and cannot express them.
    """
    gateway = account.client("apigateway")
    for kind, response in with_cors(RESPONSES, origin).items():
        headers = response["ResponseParameters"]["Headers"]
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            statusCode=str(response["StatusCode"]),
            responseParameters={
                f"gatewayresponse.header.{name}": value for name, value in headers.items()
            },
            responseTemplates=response["ResponseTemplates"],
        )
    gateway.create_deployment(restApiId=api_id, stageName=gateway_stage)
