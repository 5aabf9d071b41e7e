"""The registry of rules, and their enforcement before moto handles a request."""

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.s3.exceptions import S3ClientError
from werkzeug.exceptions import HTTPException

import tests.aws_rules


@dataclass(frozen=True)
class Request:
    """A call as its service sees it."""

    operation: str
    parameters: dict[str, Any]
    account: str
    region: str
    headers: dict[str, str]


class Refused(ServiceException):
    """An error of AWS: its code, such as `ValidationException`, and its message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Rule:
    """What AWS refuses, and where it says so."""

    service: str
    operations: tuple[str, ...]
    check: Callable[[Request], None]
    source: str


RULES: list[Rule] = []


def rule(
    service: str, *operations: str, source: str
) -> Callable[[Callable[[Request], None]], Callable[[Request], None]]:
    """Register a function that raises `Refused` for a request that AWS refuses.

    `service` is boto3's name; `source` is the URL of AWS's documentation or the public report.
    """

    def register(check: Callable[[Request], None]) -> Callable[[Request], None]:
        RULES.append(Rule(service, operations, check, source))
        return check

    return register


def load() -> list[Rule]:
    """Import all modules of the package and return their rules."""
    for module in pkgutil.iter_modules(tests.aws_rules.__path__):
        if module.name not in ("rules", "__main__") and not module.name.startswith("test_"):
            importlib.import_module(f"tests.aws_rules.{module.name}")
    return RULES


@contextmanager
def enforced() -> Iterator[None]:
    """Refuse in moto, in this process or its server, what the rules refuse."""
    load()
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def check(self: Any, request_class: type, resource: str = "*") -> None:
        authorize(self, request_class, resource)
        _check(self)

    with patch.object(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", check):
        yield


def _check(response: Any) -> None:
    service, operation = response.boto3_service_name, _operation(response)
    rules = [item for item in RULES if item.service == service and operation in item.operations]
    if not rules:
        return
    request = request_of(response)
    for item in rules:
        try:
            item.check(request)
        except Refused as refused:
            raise _error(response, refused) from None


# Operations of S3 for which moto has the name of an IAM action, or that of the whole bucket.
_S3_OPERATIONS = {
    ("POST", "delete"): "DeleteObjects",
    ("PUT", "encryption"): "PutBucketEncryption",
    ("PUT", "lifecycle"): "PutBucketLifecycleConfiguration",
    ("PUT", "publicAccessBlock"): "PutPublicAccessBlock",
}


def _operation(response: Any) -> str:
    operation = str(response._get_action())
    if response.service_name != "s3":
        return operation
    request = response.normalized_request
    query = request.query_string
    setting = (query.decode() if isinstance(query, bytes) else query).rstrip("=")
    other = f"{operation}?{setting}" if operation in ("CreateBucket", "DeleteBucket") else operation
    return _S3_OPERATIONS.get((request.method, setting), other if setting else operation)


def request_of(response: Any) -> Request:
    """Return the call that moto's `response` is about to handle."""
    operation = _operation(response)
    model = get_service_model(response.boto3_service_name).operation_model(operation)
    return Request(
        operation,
        _parameters(response, model),
        response.current_account,
        response.region,
        {name.lower(): value for name, value in response.headers.items()},
    )


def _parameters(response: Any, model: OperationModel) -> dict[str, Any]:
    request = response.normalized_request
    protocol = determine_request_protocol(model.service_model, request.content_type)
    parser = PROTOCOL_PARSERS[protocol](model, map_type=dict)
    parsed: dict[str, Any] = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": response.uri_match,
        }
    )
    if response.service_name == "s3":  # the bucket is in the host's name
        parsed |= {"Bucket": response.bucket_name, "Key": response.parse_key_name()}
    return parsed


def _error(response: Any, refused: Refused) -> Exception:
    if response.service_name == "s3":  # moto's S3 serializes its own errors
        return S3ClientError(refused.code, refused.message)
    with warnings.catch_warnings():  # moto warns about codes that no service model lists
        warnings.simplefilter("ignore", UserWarning)
        _, _, body = response.serialized(ActionResult(refused))
    error = HTTPException(body)
    error.code = refused.status
    return error
