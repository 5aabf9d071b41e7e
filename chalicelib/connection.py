"""One HTTP(S) connection to an address that was checked, under one deadline."""

import http.client
import io
import socket
import ssl
from collections.abc import Sequence
from functools import cache

from chalicelib.addresses import Address
from chalicelib.deadline import Deadline
from chalicelib.urls import DEFAULT_PORTS, Target

MAX_HEADER_BYTES = 64 * 1024


class Connection(http.client.HTTPConnection):
    """HTTP(S) to a `target` at one of `found`, every wait of it cut at `deadline`.

    The name of the host goes into `Host` and into the check of the certificate; it is not
    resolved again.
    """

    def __init__(
        self,
        target: Target,
        found: Sequence[Address],
        deadline: Deadline,
        connect_timeout_s: float,
    ) -> None:
        super().__init__(target.host, target.port)
        self.default_port = DEFAULT_PORTS[target.scheme]  # http.client leaves it out of `Host`
        self._target = target
        self._found = found
        self._deadline = deadline
        self._connect_timeout_s = connect_timeout_s
        self._wire: _DeadlineSocket | None = None

    def connect(self) -> None:
        raw = self._open()
        if self._target.scheme == "https":
            raw.settimeout(self._deadline.remaining_s())
            try:
                raw = _tls().wrap_socket(raw, server_hostname=self._target.host)
            except BaseException:
                raw.close()
                raise
        self._wire = _DeadlineSocket(raw, self._deadline, MAX_HEADER_BYTES)
        self.sock = self._wire  # it has the methods that http.client uses

    def lift_header_limit(self, body_bytes: int) -> None:
        """From here on the body arrives, whose own limit counts after the chunked coding."""
        if self._wire is not None:
            self._wire.budget_bytes = 2 * body_bytes + MAX_HEADER_BYTES

    def hang_up(self) -> None:
        """Close the connection, whatever is still under way."""
        self.close()
        if self._wire is not None:
            self._wire.hang_up()

    def _open(self) -> socket.socket:
        failure: OSError = OSError("no address")
        for address in self._found:
            timeout_s = min(self._connect_timeout_s, self._deadline.remaining_s())
            try:
                return socket.create_connection((str(address), self._target.port), timeout_s)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectionError("connecting took too long")
        raise failure


class _DeadlineSocket:
    """What `http.client` needs of a socket, with one deadline over all of it: a socket's own
    timeout starts anew with every byte, which a host that drips them would make endless.
    """

    def __init__(self, raw: socket.socket, deadline: Deadline, budget_bytes: int) -> None:
        self._raw = raw
        self._deadline = deadline
        self.budget_bytes = budget_bytes

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._deadline.remaining_s())
        self._raw.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        self._raw.settimeout(self._deadline.remaining_s())
        count = self._raw.recv_into(buffer)
        self.budget_bytes -= count
        if self.budget_bytes < 0:
            raise http.client.HTTPException("more bytes than the limit")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Nothing yet: http.client closes before the response is read. See `hang_up`."""

    def hang_up(self) -> None:
        self._raw.close()


class _Reader(io.RawIOBase):
    def __init__(self, wire: _DeadlineSocket) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._wire.recv_into(buffer)


@cache
def _tls() -> ssl.SSLContext:
    """Certificates are checked as browsers do. Made when first needed: it reads 140 authorities."""
    return ssl.create_default_context()
