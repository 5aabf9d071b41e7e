"""Client of the SageMaker endpoint: sends an image, returns its scores."""

import http
import json
import logging
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session

from chalicelib.causes import cause_of
from chalicelib.deadline import Deadline
from chalicelib.model_response import ModelDescription, Scores
from chalicelib.problems import (
    EndpointBusy,
    EndpointFailed,
    EndpointTimeout,
    EndpointUnavailable,
    ImageTooLarge,
    NotAnImage,
    Problem,
)
from chalicelib.settings import Settings

T = TypeVar("T")

_SERVICE = "sagemaker-runtime"
_JSON = "application/json"
_DESCRIBE = b"{}"
_MAX_REASON = 200
# The container's sentences about an image (model_code), which the client may read.
_REASON = re.compile("(The (image|body|HEIF|WebP|[A-Z]{3,4})|Decoding the|This is an?) [ -~]+")

logging.getLogger("botocore").setLevel(logging.WARNING)  # at INFO it logs where credentials are


class _OneService(botocore.loaders.Loader):  # type: ignore[misc]
    """Lists one service. Listing all 400 of them, twice, takes a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        return [_SERVICE]


class Endpoint:
    """The SageMaker endpoint named in `settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.explain: Callable[[Problem, Exception], None] = lambda problem, error: None
        """Receives what `cause` may not contain: the exception's message."""
        self._client: Any = None
        self._lock = threading.Lock()

    def connect(self) -> Any:
        """Return the botocore client, created on the first call: that takes 0.1 s."""
        with self._lock:
            if self._client is None:
                session = botocore.session.get_session()
                session.register_component("data_loader", _OneService())
                self._client = session.create_client(
                    _SERVICE,
                    config=botocore.config.Config(
                        connect_timeout=self._settings.endpoint_connect_timeout_s,
                        read_timeout=self._settings.endpoint_read_timeout_s,
                        retries={
                            "mode": "standard",
                            "total_max_attempts": self._settings.endpoint_attempts,
                        },
                    ),
                )
                self._client.meta.events.register_first(f"needs-retry.{_SERVICE}", _check_retry)
        return self._client

    def classify(self, payload: bytes, media_type: str, with_map: bool = False) -> Scores:
        """Return the model's scores for an image, and where it found them if `with_map`.

        Raises `NotAnImage`, `ImageTooLarge` or one of the `Endpoint…` problems.
        """
        accept = f"{_JSON}; map=true" if with_map else _JSON
        return _parse(Scores.parse, self._invoke(payload, media_type, accept))

    def describe(self) -> ModelDescription:
        """Return the model's description. Raises one of the `Endpoint…` problems."""
        return _parse(ModelDescription.parse, self._invoke(_DESCRIBE, _JSON))

    def _invoke(self, payload: bytes, content_type: str, accept: str = _JSON) -> bytes:
        def invoke() -> bytes:
            response = self.connect().invoke_endpoint(
                EndpointName=self._settings.endpoint_name,
                Body=payload,
                ContentType=content_type,
                Accept=accept,
            )
            body: bytes = response["Body"].read()
            return body

        # botocore's timeouts restart with every attempt and every byte.
        deadline = Deadline(self._settings.endpoint_timeout_s)
        try:
            return deadline.call(invoke)
        except botocore.exceptions.ClientError as error:
            problem = _service_problem(error)
            if not isinstance(problem, (ImageTooLarge, NotAnImage)):
                self.explain(problem, error)
            raise problem from None
        except (TimeoutError, botocore.exceptions.BotoCoreError) as error:
            problem = _connection_problem(error)
            self.explain(problem, error)
            raise problem from None


def _check_retry(response: Any, caught_exception: Any, operation: Any, **_: Any) -> None:
    """Raise a timeout at once: a retry would give the same image to a second worker.

    botocore's standard mode retries timeouts. Its other retries are useful: a connection that was
    closed while Lambda was frozen fails when it is used again.
    """
    if isinstance(caught_exception, botocore.exceptions.ReadTimeoutError):
        raise caught_exception
    if response is not None and response[0].status_code == http.HTTPStatus.GATEWAY_TIMEOUT:
        raise botocore.exceptions.ClientError(response[1], operation.name)


_TIMEOUTS = (
    TimeoutError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.ReadTimeoutError,
)
_UNREACHABLE = (
    botocore.exceptions.ConfigParseError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.NoRegionError,
    botocore.exceptions.ProfileNotFound,
)


def _connection_problem(error: Exception) -> Problem:
    if isinstance(error, _TIMEOUTS):
        return EndpointTimeout("The model did not respond in time.", cause=cause_of(error))
    if isinstance(error, _UNREACHABLE):
        return EndpointUnavailable("The model cannot be reached.", cause=cause_of(error))
    return EndpointFailed("The connection to the model was lost.", cause=cause_of(error))


# Error codes of the service itself, see "Errors" of
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
_BUSY = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
_TOO_LARGE = frozenset({"413", "RequestEntityTooLarge", "RequestTooLargeException"})
_UNAVAILABLE = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "ModelNotReadyException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "UnrecognizedClientException",
        "ValidationError",
        "ValidationException",
    }
)


def _service_problem(error: botocore.exceptions.ClientError) -> Problem:
    response: dict[str, Any] = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    cause = f"{re.sub('[^A-Za-z0-9]', '', code)[:80]}, status {status}"
    if code == "ModelError":
        return _container_problem(response, cause)
    if code in _BUSY:
        return _busy(cause)
    if status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE or code in _TOO_LARGE:
        # serverless endpoints accept 4 MB
        return ImageTooLarge("The image is larger than the model accepts.", cause=cause)
    if status == http.HTTPStatus.GATEWAY_TIMEOUT:
        return EndpointTimeout("The model did not respond in time.", cause=cause)
    if code in _UNAVAILABLE:
        return EndpointUnavailable("The model is not in service.", cause=cause)
    return EndpointFailed("The model's service failed.", cause=cause)


def _container_problem(response: dict[str, Any], cause: str) -> Problem:
    """Translate the container's status code and message, see model_code/errors.py."""
    status = response.get("OriginalStatusCode")
    cause = f"{cause}, container status {status}"
    reason = _container_reason(response.get("OriginalMessage"))
    if status == 413:
        detail = reason or "The image is too large or too costly to decode."
        return ImageTooLarge(detail, cause=cause)
    if status == 422:
        detail = reason or "The image is damaged and cannot be decoded."
        return NotAnImage(detail, cause=cause)
    if status == 415:
        return NotAnImage("The image is damaged and cannot be decoded.", cause=cause)
    if status in (429, 503):
        return _busy(cause)
    if status == 0:  # it died; another one takes over
        return EndpointUnavailable("The model stopped while it processed the image.", cause=cause)
    return EndpointFailed("The model failed to process this image.", cause=cause)


def _container_reason(message: Any) -> str:
    """Return the container's sentence about an image, or "" if the message is anything else."""
    try:
        document = json.loads(message)
    except (RecursionError, TypeError, ValueError):
        return ""
    reason = document.get("error") if isinstance(document, dict) and len(document) == 1 else None
    if isinstance(reason, str) and len(reason) <= _MAX_REASON and _REASON.fullmatch(reason):
        return reason
    return ""


def _busy(cause: str) -> EndpointBusy:
    return EndpointBusy("The model has too many requests. Retry soon.", cause=cause)


def _parse(read: Callable[[dict[str, Any]], T], body: bytes) -> T:
    """Apply `read` to a JSON object. Raises `EndpointFailed` if the response is invalid."""
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise TypeError("not a JSON object")
        return read(document)
    except (KeyError, TypeError, ValueError) as error:
        raise EndpointFailed(
            "The model returned an invalid response.", cause=cause_of(error)
        ) from None
