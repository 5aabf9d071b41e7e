"""The target of a load test: a model server on this machine or an endpoint of the account.

Other URLs of model servers are refused: load on another's server is an attack. A SageMaker endpoint
is called through InvokeEndpoint, which requires permission. api.py has the whole API as a target.
"""

import functools
import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.util import wait_for_read

from aws import account as accounts
from aws.account import Account
from cli.errors import SettingsError
from ops.loadtest.images import Image

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class RequestFailed(Exception):
    """A request without a prediction. Its text is the kind of failure."""


Send = Callable[[Image], bytes]
"""Sends an image and returns the body of the response. Raises RequestFailed."""


class Target(Protocol):
    """A server under load."""

    name: str

    def connect(self) -> AbstractContextManager[Send]:
        """Open the connection of one thread."""


class HttpServer:
    """A server that takes images by POST, with one keep-alive connection per thread."""

    def __init__(
        self, parts: SplitResult, path: str, timeout_s: float, headers: Mapping[str, str]
    ) -> None:
        self.name = parts.geturl()
        self.is_local = parts.hostname in LOOPBACK
        self._kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._host, self._port = parts.hostname or "", parts.port
        self._path = path
        self._timeout_s = timeout_s
        self._headers = headers

    @contextmanager
    def connect(self) -> Iterator[Send]:
        connection = self._kind(self._host, self._port, timeout=self._timeout_s)
        with closing(connection):
            yield functools.partial(self._send, connection)

    def describe_failure(self, status: int, body: bytes) -> str:
        """Return the kind of a response that is not a prediction."""
        return f"HTTP {status}"

    def _send(self, connection: http.client.HTTPConnection, image: Image) -> bytes:
        # an idle connection is readable only once the server has closed it, which is not a failure
        if connection.sock and wait_for_read(connection.sock, timeout=0):
            connection.close()
        headers = {"Content-Type": image.media_type, "Accept": "application/json"}
        try:
            connection.request("POST", self._path, image.body, {**headers, **self._headers})
            with connection.getresponse() as response:
                body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the next request reopens it
            raise RequestFailed(type(error).__name__) from None
        if response.status != 200:
            raise RequestFailed(self.describe_failure(response.status, body))
        return body


class LocalServer(HttpServer):
    """A model server on this machine."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SettingsError(f'--url is "{url}". Write it like http://127.0.0.1:8080.')
        if parts.hostname not in LOOPBACK:
            raise SettingsError(
                f"--url is {url}, which is not on this machine. "
                "For a SageMaker endpoint, use --stage or --endpoint; for the API, use --api."
            )
        path = parts.path if parts.path.strip("/") else "/invocations"
        super().__init__(parts, path, timeout_s, {})


class Endpoint:
    """A SageMaker endpoint, called through InvokeEndpoint as the API does, but without retries."""

    def __init__(self, account: Account, name: str, connections: int, timeout_s: float) -> None:
        self.name = name
        # a retry would hide a failure, and count as one request instead of two
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=connections,
        )
        self._client = account.session.client("sagemaker-runtime", config=config)

    def connect(self) -> AbstractContextManager[Send]:
        return nullcontext(self._send)

    def _send(self, image: Image) -> bytes:
        try:
            response = self._client.invoke_endpoint(
                EndpointName=self.name, ContentType=image.media_type, Body=image.body
            )
            return bytes(response["Body"].read())
        except ClientError as error:
            status = error.response.get("OriginalStatusCode", "")
            raise RequestFailed(f"{accounts.error_code(error)} {status}".strip()) from error
        except BotoCoreError as error:
            raise RequestFailed(type(error).__name__) from error
