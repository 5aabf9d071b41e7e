"""Limits of the web server on connections, and on the size and time of a request.

uvicorn itself limits neither the size of a request's head nor the time it takes.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 512
"""Open connections. A SageMaker router holds a few, `ops loadtest` 128 by default."""
MAX_HEAD_BYTES = 16 * 1024
"""Request line and headers together, as in most web servers."""
HEAD_TIMEOUT_S = 10.0
"""From the first byte of a request, or from the connection, to the end of the headers."""
BODY_TIMEOUT_S = 10.0
"""For a request's body to arrive. SageMaker's router has all of it when it connects."""
_CLOSE_AFTER_S = 5.0  # the application responds first, if it reads the body


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with these limits. It disconnects a client that exceeds one."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0  # received, while the head is incomplete
        self._field_bytes = 0  # parsed
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(b"429 Too Many Requests")

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._field_bytes = 0
        if not self._in_head:  # a further request on this connection
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value)
        if len(self.url) + self._field_bytes > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")  # uvicorn answers 400

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._set_timer(BODY_TIMEOUT_S + _CLOSE_AFTER_S, self.transport.close)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._cancel_timer()
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._set_timer(HEAD_TIMEOUT_S, self._refuse, b"408 Request Timeout")

    def _set_timer(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> None:
        self._cancel_timer()
        self._timer = self.loop.call_later(seconds, callback, *arguments)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._cancel_timer()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n\r\n")
            self.transport.close()
