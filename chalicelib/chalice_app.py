"""A Chalice app that accepts any Lambda event, and logs no message of an exception."""

import functools
import json
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice

from chalicelib.causes import cause_with_location
from chalicelib.inputs import JSON
from chalicelib.problems import InternalError, Problem

View = Callable[[], Any]

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
    """Accepts events that are not requests of an API Gateway REST API.

    `{"url": "https://…"}`, as sent from the Lambda console, is answered like `POST /predict`. Other
    events, such as those of warmers or of an ALB, become requests of `NO_ROUTE`.
    """

    def route(self, path: str, **options: Any) -> Callable[[View], View]:
        """Register a view. Its unexpected exceptions become problems before Chalice logs them."""
        register = super().route(path, **options)
        return lambda view: register(_guarded(view))

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        response: dict[str, Any] = super().__call__(_rest_event(event), context)
        return response


def _guarded(view: View) -> View:
    @functools.wraps(view)
    def guarded() -> Any:
        try:
            return view()
        except Problem:
            raise
        except Exception as error:
            raise InternalError(cause=cause_with_location(error)) from None

    return guarded


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
