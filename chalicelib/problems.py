"""Every failure the API can report, as RFC 9457 problem details.

    Problem
    ├── InvalidRequest        400  not JSON, `url` missing or not absolute, `top_k` out of range
    ├── UrlNotAllowed         403  another scheme, credentials, an odd port, a private address
    ├── MethodNotAllowed      405  the route has no such method
    ├── ImageTooLarge         413  more bytes or pixels than the limit
    ├── UnsupportedMediaType  415  the request's body is neither JSON nor a supported image
    ├── NotAnImage            422  what came cannot be decoded as JPEG, PNG or WebP
    ├── ImageUnreachable      424  the picture's host does not answer as it should
    ├── EndpointBusy          429  the endpoint throttles; `Retry-After` says when to come back
    ├── InternalError         500  a defect in this code
    ├── EndpointFailed        502  the endpoint answered with an error or nonsense
    ├── EndpointUnavailable   503  the endpoint is not there, not in service, or not ours to ask
    ├── EndpointTimeout       504  the endpoint took too long
    └── BatchTimeout          504  a batch's time was over before this picture was done

`detail` is for the client: it holds no traceback, no address, nothing that the container said.
`cause` is for the log.
"""

from collections.abc import Mapping
from typing import ClassVar

from chalice.app import ChaliceUnhandledError

MEDIA_TYPE = "application/problem+json"


# Chalice hands a ChaliceUnhandledError to the middleware, where every answer gets its last shape.
class Problem(ChaliceUnhandledError):
    """A request that ends with an error. `headers` go into the answer."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.cause = cause

    def document(self, request_id: str) -> dict[str, object]:
        """The body of the answer."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }


class InvalidRequest(Problem):
    status = 400
    type = "invalid-request"
    title = "The request is not valid"


class UrlNotAllowed(Problem):
    status = 403
    type = "url-not-allowed"
    title = "This URL may not be fetched"


class MethodNotAllowed(Problem):
    status = 405
    type = "method-not-allowed"
    title = "This route has no such method"


class ImageTooLarge(Problem):
    status = 413
    type = "image-too-large"
    title = "The image is too large"


class UnsupportedMediaType(Problem):
    status = 415
    type = "unsupported-media-type"
    title = "The body is of an unsupported type"


class NotAnImage(Problem):
    status = 422
    type = "not-an-image"
    title = "This is not a JPEG, PNG or WebP image"


class ImageUnreachable(Problem):
    status = 424
    type = "image-unreachable"
    title = "The image could not be fetched"


class EndpointBusy(Problem):
    status = 429
    type = "endpoint-busy"
    title = "The model is busy"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class InternalError(Problem):
    pass


class EndpointFailed(Problem):
    status = 502
    type = "endpoint-failed"
    title = "The model failed"


class EndpointUnavailable(Problem):
    status = 503
    type = "endpoint-unavailable"
    title = "The model is not available"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "10"}


class EndpointTimeout(Problem):
    status = 504
    type = "endpoint-timeout"
    title = "The model took too long"


class BatchTimeout(Problem):
    status = 504
    type = "batch-timeout"
    title = "There was no time left for this picture"
