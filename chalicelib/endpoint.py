"""From the bytes of a picture to `Scores`, through sagemaker-runtime's InvokeEndpoint."""

import json
import logging
import math
import threading
from dataclasses import dataclass
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session

from chalicelib.deadline import Deadline
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

_SERVICE = "sagemaker-runtime"
_DESCRIBE = b"{}"

logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where it found credentials


@dataclass(frozen=True, slots=True)
class Breeds:
    """The model, and the breeds it knows, in the order of its logits."""

    names: tuple[str, ...]
    model_name: str
    model_version: str
    temperature: float
    dog_threshold: float


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of one picture. `logits` has one value per breed."""

    breeds: Breeds
    logits: tuple[float, ...]
    dog_probability: float
    image_format: str
    image_width: int
    image_height: int


class _OneService(botocore.loaders.Loader):  # type: ignore[misc]
    """Knows which service it will be asked for: botocore's own loader looks through the folders of
    all 400, twice, which is a tenth of a cold start."""

    def list_available_services(self, type_name: str) -> list[str]:
        return [_SERVICE]


class Endpoint:
    """The one SageMaker endpoint that `settings` name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._lock = threading.Lock()

    def connect(self) -> Any:
        """The botocore client, made once: that takes a tenth of a second."""
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
        return self._client

    def classify(self, payload: bytes, media_type: str) -> Scores:
        """The model's scores of the picture in `payload`.

        Raises `NotAnImage`, `ImageTooLarge` and the `Endpoint…` problems.
        """
        answer = self._invoke(payload, media_type)
        try:
            return _scores(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise _nonsense(repr(error)) from None

    def describe(self) -> Breeds:
        """The model and its breeds. Raises the `Endpoint…` problems."""
        answer = self._invoke(_DESCRIBE, "application/json")
        try:
            return _breeds(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise _nonsense(repr(error)) from None

    def _invoke(self, payload: bytes, content_type: str) -> dict[str, Any]:
        def invoke() -> bytes:
            answer = self.connect().invoke_endpoint(
                EndpointName=self._settings.endpoint_name,
                Body=payload,
                ContentType=content_type,
                Accept="application/json",
            )
            body: bytes = answer["Body"].read()
            return body

        # botocore's own timeouts start anew with every attempt and every byte.
        deadline = Deadline(self._settings.endpoint_timeout_s)
        try:
            document = json.loads(deadline.call(invoke))
        except TimeoutError as error:
            raise EndpointTimeout("The model did not answer in time.", cause=repr(error)) from None
        except botocore.exceptions.ClientError as error:
            raise _refused(error) from None
        except (
            botocore.exceptions.ConnectTimeoutError,
            botocore.exceptions.ReadTimeoutError,
        ) as error:
            raise EndpointTimeout("The model did not answer in time.", cause=repr(error)) from None
        except (
            botocore.exceptions.ConnectionError,
            botocore.exceptions.ConnectionClosedError,
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.NoRegionError,
            botocore.exceptions.CredentialRetrievalError,
        ) as error:
            raise EndpointUnavailable(
                "The model cannot be reached at the moment.", cause=repr(error)
            ) from None
        except botocore.exceptions.BotoCoreError as error:
            raise EndpointFailed("The connection to the model broke.", cause=repr(error)) from None
        except ValueError as error:
            raise _nonsense(repr(error)) from None
        if not isinstance(document, dict):
            raise _nonsense("the answer is no JSON object")
        return document


# What the service itself refuses. Codes: "Errors" of
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
_BUSY = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
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


def _refused(error: botocore.exceptions.ClientError) -> Problem:
    """The problem behind an error of SageMaker. The container's own words stay in `cause`."""
    response: dict[str, Any] = error.response
    code = response.get("Error", {}).get("Code", "")
    cause = str(error)
    if code == "ModelError":
        return _model_error(response.get("OriginalStatusCode"), cause)
    if code in _BUSY:
        return EndpointBusy("Too many pictures at the moment. Try again soon.", cause=cause)
    if code in _UNAVAILABLE:
        return EndpointUnavailable("The model is not in service at the moment.", cause=cause)
    return EndpointFailed("The model's service failed.", cause=cause)


def _model_error(status: int | None, cause: str) -> Problem:
    """The problem behind an answer of the container other than 200; see model_code/errors.py."""
    if status == 413:
        return ImageTooLarge("The image has too many bytes or pixels.", cause=cause)
    if status in (415, 422):
        return NotAnImage("The image cannot be decoded: it is damaged, or no image.", cause=cause)
    if status in (429, 503):
        return EndpointBusy("Too many pictures at the moment. Try again soon.", cause=cause)
    return EndpointFailed("The model failed on this picture.", cause=cause)


def _nonsense(cause: str) -> EndpointFailed:
    return EndpointFailed("The model's answer makes no sense.", cause=cause)


def _breeds(answer: dict[str, Any]) -> Breeds:
    model = answer["model"]
    names = tuple(map(str, answer.get("display_names") or answer["labels"]))
    if not names or len(names) != len(answer["labels"]):
        raise ValueError("names and labels differ in number")
    breeds = Breeds(
        names=names,
        model_name=str(model["name"]),
        model_version=str(model["version"]),
        temperature=_finite(model["temperature"]),
        dog_threshold=_finite(model["dog_threshold"]),
    )
    if breeds.temperature <= 0:
        raise ValueError("temperature is not positive")
    return breeds


def _scores(answer: dict[str, Any]) -> Scores:
    breeds = _breeds(answer)
    logits = tuple(_finite(value) for value in answer["logits"])
    if len(logits) != len(breeds.names):
        raise ValueError(f"{len(logits)} logits for {len(breeds.names)} breeds")
    dog_probability = _finite(answer["dog_probability"])
    if not 0 <= dog_probability <= 1:
        raise ValueError("dog_probability is no probability")
    image = answer["image"]
    return Scores(
        breeds=breeds,
        logits=logits,
        dog_probability=dog_probability,
        image_format=str(image["format"]),
        image_width=int(image["width"]),
        image_height=int(image["height"]),
    )


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
