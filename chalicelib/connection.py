"""An HTTP(S) connection to a vetted address, with one deadline for all of it."""

import http.client
import io
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from itertools import zip_longest

from chalicelib.addresses import Address
from chalicelib.deadline import Deadline
from chalicelib.urls import DEFAULT_PORTS, Target

MAX_HEADER_BYTES = 64 * 1024
MAX_ADDRESSES = 4
"""Addresses of a host to try. More would turn a request into a flood of connections."""

OpenSocket = Callable[[tuple[str, int], float], socket.socket]


@cache
def default_tls_context() -> ssl.SSLContext:
    """Return a context that verifies certificates. Cached, because it parses 140 authorities."""
    return ssl.create_default_context()


class ConnectTimeout(ConnectionError):
    """None of the host's addresses accepted a connection in time."""


class _Response(http.client.HTTPResponse):
    """A response that skips all interim ones, such as 103 Early Hints."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        # http.client skips 100 only. 101 would switch to another protocol.
        return version, http.client.CONTINUE if 102 <= status < 200 else status, reason


class Connection(http.client.HTTPConnection):
    """HTTP(S) to `target` at the first of `addresses` that accepts a connection.

    The host name is used for the `Host` header and to verify the certificate. It is not resolved
    again.
    """

    response_class = _Response

    def __init__(
        self,
        target: Target,
        addresses: Sequence[Address],
        deadline: Deadline,
        connect_timeout_s: float,
        open_socket: OpenSocket = socket.create_connection,
        tls_context: Callable[[], ssl.SSLContext] = default_tls_context,
    ) -> None:
        super().__init__(target.host, target.port)
        self.default_port = DEFAULT_PORTS[target.scheme]  # http.client omits it from `Host`
        self._target = target
        self._addresses = addresses
        self._deadline = deadline
        self._connect_timeout_s = connect_timeout_s
        self._open_socket = open_socket
        self._tls_context = tls_context
        self._stream: _DeadlineStream | None = None

    def connect(self) -> None:
        raw = self._connect_to_first()
        if self._target.scheme == "https":
            raw.settimeout(self._deadline.remaining_s())
            try:
                raw = self._tls_context().wrap_socket(raw, server_hostname=self._target.host)
            except BaseException:
                raw.close()
                raise
        self._stream = _DeadlineStream(raw, self._deadline, MAX_HEADER_BYTES)
        self.sock = self._stream

    def allow_body(self, max_bytes: int) -> None:
        """Raise the byte limit for the body. Chunked transfer coding may double its size."""
        if self._stream is not None:
            self._stream.budget_bytes = 2 * max_bytes + MAX_HEADER_BYTES

    def hang_up(self) -> None:
        """Close the socket, even in the middle of a response."""
        self.close()
        if self._stream is not None:
            self._stream.hang_up()

    def _connect_to_first(self) -> socket.socket:
        failure = OSError("no address")
        for address in _connection_order(self._addresses):
            timeout_s = min(self._connect_timeout_s, self._deadline.remaining_s())
            try:
                return self._open_socket((str(address), self._target.port), timeout_s)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):  # only the deadline's own timeout may leave here
            raise ConnectTimeout
        raise failure


def _connection_order(addresses: Sequence[Address]) -> Sequence[Address]:
    """Return the addresses to try: both families in turn, as in RFC 8305, if the host has both."""
    preferred = [address for address in addresses if address.version == addresses[0].version]
    others = [address for address in addresses if address.version != addresses[0].version]
    pairs = zip_longest(preferred, others)
    return [address for pair in pairs for address in pair if address][:MAX_ADDRESSES]


class _DeadlineStream(io.RawIOBase):
    """The methods of a socket that `http.client` calls, with one deadline and a byte limit.

    A socket's own timeout restarts with every byte, so a host that drips bytes would never hit it.
    """

    def __init__(self, raw: socket.socket, deadline: Deadline, budget_bytes: int) -> None:
        self._raw = raw
        self._deadline = deadline
        self.budget_bytes = budget_bytes

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._deadline.remaining_s())
        self._raw.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._raw.settimeout(self._deadline.remaining_s())
        count = self._raw.recv_into(buffer)
        self.budget_bytes -= count
        if self.budget_bytes < 0:
            raise http.client.HTTPException("response exceeds the byte limit")
        return count

    def close(self) -> None:
        """Do nothing: http.client closes the socket before the response is read."""

    def hang_up(self) -> None:
        self._raw.close()
