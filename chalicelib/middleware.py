"""Chalice middleware for every response: problem documents, headers and the log line."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from chalice.app import CORSConfig, Request, Response

from chalicelib import telemetry
from chalicelib.causes import cause_with_location
from chalicelib.chalice_app import NO_ROUTE
from chalicelib.image_fetcher import USER_AGENT
from chalicelib.inputs import JSON
from chalicelib.problems import (
    MEDIA_TYPE,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    Problem,
    UnsupportedMediaType,
    UrlNotAllowed,
)
from chalicelib.service import Answer
from chalicelib.telemetry import BatchFigures, ImageFigures

PREFLIGHT_MAX_AGE_S = 7200
"""Chrome caches a preflight response for no longer."""

GetResponse = Callable[[Request], Response]


def cors(origin: str) -> CORSConfig | None:
    """Return the CORS headers for pages of `origin`, which is `*` for all and "" for none."""
    if not origin:
        return None
    exposed = ["Retry-After", "X-Request-Id"]
    return CORSConfig(allow_origin=origin, expose_headers=exposed, max_age=PREFLIGHT_MAX_AGE_S)


class AnswerResponse(Response):
    """A response with the figures for its log line."""

    def __init__(self, answer: Answer[ImageFigures] | Answer[BatchFigures]) -> None:
        super().__init__(answer.document)
        self.figures = answer.figures


class Middleware:
    """Turns exceptions into problem documents, adds the request id and headers, logs the request.

    `cors` is None if no other origin may call the API.
    """

    def __init__(self, cors: CORSConfig | None) -> None:
        self._cors = cors.get_access_control_headers() if cors else {}

    def __call__(self, request: Request, get_response: GetResponse) -> Response:
        start = time.perf_counter()
        request_id = _request_id(request)
        problem: Problem | None = None
        headers: dict[str, Any] = {}
        try:
            _refuse_unsupported(request)
            response = get_response(request)
            if response.status_code >= 400:
                if "Allow" in response.headers:
                    headers["Allow"] = response.headers["Allow"]
                raise _chalice_problem(response)
        except Problem as error:
            problem = error
        except Exception as error:
            problem = InternalError(cause=cause_with_location(error))
        if problem:
            headers |= {"Content-Type": MEDIA_TYPE, **problem.headers}
            response = Response(problem.document, status_code=problem.status)
        response.headers = {
            "Cache-Control": "no-store",
            **response.headers,
            **headers,
            **self._cors,
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        }
        if isinstance(response.body, dict):
            for document in (response.body, *response.body.get("results", ())):
                document["request_id"] = request_id
        if (
            request.method == "HEAD"
        ):  # `chalice local` would send the body, before the next response
            response.body = b"" if isinstance(response.body, bytes) else ""
        telemetry.log_request(
            request_id=request_id,
            stage=str(request.context.get("stage") or telemetry.LOCAL_STAGE),
            route=request.path,
            method=request.method,
            status=response.status_code,
            duration_ms=(time.perf_counter() - start) * 1000,
            figures=response.figures if isinstance(response, AnswerResponse) else None,
            problem=problem.type if problem else "",
            cause=problem.cause if problem else "",
        )
        return response


def _refuse_unsupported(request: Request) -> None:
    if request.path == NO_ROUTE:
        raise InvalidRequest(
            "The event is neither a request of an API Gateway REST API nor an object such as "
            '{"url": "https://…"}.'
        )
    if USER_AGENT in request.headers.get("user-agent", ""):
        raise UrlNotAllowed("URLs that lead back to this API are not allowed.")


def _chalice_problem(response: Response) -> Problem:
    """Translate an error response that Chalice created before calling a view."""
    cause = str(response.body["Code"])  # the message contains headers of the request
    if response.status_code == 400:
        return InvalidRequest("The request is malformed.", cause=cause)
    if response.status_code == 405:
        return MethodNotAllowed("The route does not support this method.", cause=cause)
    if response.status_code == 415:  # the views that accept images check the type themselves
        return UnsupportedMediaType(f"The Content-Type must be {JSON}.", cause=cause)
    return InternalError(cause=cause)


def _request_id(request: Request) -> str:
    """Return the request id of API Gateway, which also logs it, or else of Lambda."""
    lambda_id = getattr(request.lambda_context, "aws_request_id", None)
    return str(request.context.get("requestId") or lambda_id or uuid.uuid4())
