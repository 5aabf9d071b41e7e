"""Lambda events that are not requests of an API Gateway REST API."""

import json
from typing import Any

from chalice.app import Chalice

from chalicelib.inputs import JSON

DIRECT_STAGE = "direct"
"""The stage in the log of events that did not come through API Gateway."""
NO_ROUTE = "none"

_OPTIONAL = {
    "headers": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "body": None,
}


class App(Chalice):
    """A Chalice app that can be invoked with any event.

    `{"url": "https://…"}`, as sent from the Lambda console, is answered like `POST /predict`. Other
    events, such as those of warmers or of an ALB, become requests of `NO_ROUTE`.
    """

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        response: dict[str, Any] = super().__call__(_rest_event(event), context)
        return response


def _rest_event(event: Any) -> dict[str, Any]:
    """Return a REST event with all members that Chalice reads."""
    members = event if isinstance(event, dict) else {}
    context = members.get("requestContext")
    if isinstance(context, dict) and {"resourcePath", "httpMethod"} <= set(context):
        return {**_OPTIONAL, **members}
    is_predict = context is None and "url" in members
    return {
        **_OPTIONAL,
        "headers": {"content-type": JSON},
        "requestContext": {
            "resourcePath": "/predict" if is_predict else NO_ROUTE,
            "httpMethod": "POST",
            "stage": DIRECT_STAGE,
        },
        "body": json.dumps(event),
    }
