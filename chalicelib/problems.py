"""Every failure the API can report, as RFC 9457 problem details.

    Problem
    ├── InvalidRequest        400  invalid JSON, missing or relative `url`, `top_k` out of range
    ├── UrlNotAllowed         403  forbidden scheme, port or credentials, a private address, or
    │                              this API's own
    ├── MethodNotAllowed      405  the route does not support the method
    ├── ImageTooLarge         413  too many bytes or pixels, or too costly to decode
    ├── RequestTooLarge       413  the JSON body has too many bytes
    ├── UnsupportedMediaType  415  the request body is neither JSON, an image nor a form
    ├── NotAnImage            422  not an intact image of a supported format
    ├── ImageUnreachable      424  the image's host did not deliver it
    ├── EndpointBusy          429  the endpoint is throttling; see `Retry-After`
    ├── InternalError         500  a bug in this code
    ├── EndpointFailed        502  the endpoint returned an error or an invalid response
    ├── EndpointUnavailable   503  the endpoint is missing, not in service, or access is denied
    ├── EndpointTimeout       504  the endpoint took too long
    └── BatchTimeout          504  the batch timed out before this image was processed

`detail` is for the client: no traceback and no address. `cause` is for the log: types and codes of
exceptions (`causes`), never text that a client or a host sent.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from chalice.app import ChaliceUnhandledError

MEDIA_TYPE = "application/problem+json"


# Chalice passes a ChaliceUnhandledError on to the middleware, which turns it into a response.
class Problem(ChaliceUnhandledError):
    """A request that ends with an error. `headers` are added to the response."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.cause = cause

    @property
    def document(self) -> dict[str, Any]:
        """The response body. The middleware adds the request id."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


class InvalidRequest(Problem):
    status = 400
    type = "invalid-request"
    title = "The request is invalid"


class UrlNotAllowed(Problem):
    status = 403
    type = "url-not-allowed"
    title = "The URL is not allowed"


class MethodNotAllowed(Problem):
    status = 405
    type = "method-not-allowed"
    title = "The method is not allowed"


class ImageTooLarge(Problem):
    status = 413
    type = "image-too-large"
    title = "The image is too large"

    @classmethod
    def in_bytes(cls, max_bytes: int) -> "ImageTooLarge":
        return cls(f"The image is larger than {max_bytes} bytes.")


class RequestTooLarge(Problem):
    status = 413
    type = "request-too-large"
    title = "The request is too large"


class UnsupportedMediaType(Problem):
    status = 415
    type = "unsupported-media-type"
    title = "The media type is not supported"


class NotAnImage(Problem):
    status = 422
    type = "not-an-image"
    title = "The content is not a supported image"


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
    def __init__(self, detail: str = "An unexpected error occurred.", *, cause: str = "") -> None:
        super().__init__(detail, cause=cause)


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
    title = "The batch timed out"
