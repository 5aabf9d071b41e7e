"""What every answer passes on its way out: problems get their shape, the log its line."""

import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from chalice.app import CORSConfig, Request, Response

from chalicelib import telemetry
from chalicelib.inputs import WRONG_MEDIA_TYPE
from chalicelib.problems import (
    MEDIA_TYPE,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    Problem,
    UnsupportedMediaType,
)

GetResponse = Callable[[Request], Response]

# What Chalice refuses by itself, before a view is called.
_OF_CHALICE: dict[int, tuple[type[Problem], str]] = {
    400: (InvalidRequest, "The request cannot be answered in this form."),
    405: (MethodNotAllowed, "This route does not take this method."),
    415: (UnsupportedMediaType, WRONG_MEDIA_TYPE),
}


class Middleware:
    """Chalice middleware. `cors` is None where no other origin may call."""

    def __init__(self, cors: CORSConfig | None) -> None:
        self._cors = cors.get_access_control_headers() if cors else {}

    def __call__(self, request: Request, get_response: GetResponse) -> Response:
        start = time.perf_counter()
        request_id = _request_id(request)
        problem: Problem | None = None
        allow = None
        try:
            response = get_response(request)
            if response.status_code >= 400:
                allow = response.headers.get("Allow")
                kind, detail = _OF_CHALICE.get(
                    response.status_code, (InternalError, InternalError.title + ".")
                )
                raise kind(detail, cause=str(response.body))
        except Problem as caught:
            problem = caught
            response = _response(problem, request_id)
        except Exception:
            problem = InternalError(InternalError.title + ".", cause=traceback.format_exc())
            response = _response(problem, request_id)
        response.headers = {
            "Cache-Control": "no-store",
            **response.headers,
            **({"Allow": allow} if allow else {}),
            **self._cors,
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        }
        if isinstance(response.body, dict):
            for document in (response.body, *response.body.get("results", ())):
                document.setdefault("request_id", request_id)
        telemetry.log_request(
            request_id=request_id,
            stage=str(request.context.get("stage") or telemetry.STAGE_OUTSIDE_AWS),
            route=request.path,
            method=request.method,
            status=response.status_code,
            duration_ms=(time.perf_counter() - start) * 1000,
            answer=response.body,
            problem=problem.type if problem else "",
            cause=problem.cause if problem else "",
        )
        return response


def _response(problem: Problem, request_id: str) -> Response:
    return Response(
        problem.document(request_id),
        headers={"Content-Type": MEDIA_TYPE, **problem.headers},
        status_code=problem.status,
    )


def _request_id(request: Request) -> str:
    """API Gateway's id of the request, which its own log holds too; else Lambda's."""
    found: Any = request.context.get("requestId")
    return str(found or getattr(request.lambda_context, "aws_request_id", None) or uuid.uuid4())
