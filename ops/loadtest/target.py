"""Who is asked: a server on this machine by its address, or a SageMaker endpoint by its name.

No other address is driven: load on somebody's server is an attack, and a SageMaker endpoint is
asked through InvokeEndpoint, which only its own account may call.
"""

import http.client
import ipaddress
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from aws import account as accounts
from aws.account import Account
from cli.errors import SettingsError
from ops.loadtest.photos import Photo


class NoAnswer(Exception):
    """A request that was not answered with a prediction; its text is the kind of failure."""


class Connection(Protocol):
    """One that asks, waits for the answer, and asks again."""

    def invoke(self, photo: Photo) -> None:
        """Return once `photo` is classified. Raises `NoAnswer`."""


class Target(Protocol):
    """What is driven; `connect` is called once by each thread."""

    name: str

    @contextmanager
    def connect(self) -> Iterator[Connection]: ...


class LocalServer:
    """A model server on this machine, with one keep-alive connection for each thread."""

    def __init__(self, address: str, timeout_s: float) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise SettingsError(f"--url is {address!r}, not like http://127.0.0.1:8080")
        if not _is_loopback(parts.hostname):
            raise SettingsError(
                f"--url is for a server on this machine, and {parts.hostname} is not; "
                "name a SageMaker endpoint with --stage or --endpoint"
            )
        self.name = address
        self._host, self._port = parts.hostname, parts.port or 80
        self._path = parts.path if parts.path.strip("/") else "/invocations"
        self._timeout_s = timeout_s

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            yield _Http(connection, self._path)
        finally:
            connection.close()


class _Http:
    def __init__(self, connection: http.client.HTTPConnection, path: str) -> None:
        self._connection = connection
        self._path = path

    def invoke(self, photo: Photo) -> None:
        self._forget_if_closed()
        try:
            headers = {"Content-Type": photo.media_type}
            self._connection.request("POST", self._path, photo.body, headers)
            with self._connection.getresponse() as response:
                response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # the next request opens it anew
            raise NoAnswer(type(error).__name__) from None
        if response.status != 200:
            raise NoAnswer(f"HTTP {response.status}")

    def _forget_if_closed(self) -> None:
        """A server may close a connection that was idle: that is no failure, and the next request
        opens it anew. Nothing is due to be read before a request but the end."""
        sock = self._connection.sock
        if sock is None:
            return
        idle = select.poll()
        idle.register(sock, select.POLLIN)
        if idle.poll(0):
            self._connection.close()


class Endpoint:
    """A SageMaker endpoint, through InvokeEndpoint as the API calls it, but without retries."""

    def __init__(self, account: Account, name: str, connections: int, timeout_s: float) -> None:
        self.name = name
        # A retry would hide a refusal, and count as one request where the endpoint saw two.
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            max_pool_connections=connections,
        )
        self._client = account.session.client("sagemaker-runtime", config=config)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        yield _Runtime(self._client, self.name)


class _Runtime:
    def __init__(self, client: Any, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint

    def invoke(self, photo: Photo) -> None:
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=self._endpoint, ContentType=photo.media_type, Body=photo.body
            )
            answer["Body"].read()
        except ClientError as error:
            status = error.response.get("OriginalStatusCode", "")
            raise NoAnswer(f"{accounts.error_code(error)} {status}".strip()) from error
        except BotoCoreError as error:
            raise NoAnswer(type(error).__name__) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
