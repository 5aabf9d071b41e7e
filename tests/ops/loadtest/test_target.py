"""Tests of the target over real connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ops.loadtest.images import Image
from ops.loadtest.target import LocalServer

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def closing_server() -> Iterator[tuple[str, threading.Semaphore]]:
    """A server that responds once per connection and then closes it without announcement.

    The semaphore is released for each closed connection.
    """
    closed = threading.Semaphore(0)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while not connection.recv(65536).endswith(b"image"):
                    pass
                connection.sendall(RESPONSE)
            closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", closed
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_was_closed_while_idle_is_reopened() -> None:
    image = Image(b"image", "image/jpeg")
    with closing_server() as (address, closed), LocalServer(address, 5).connect() as send:
        for _ in range(3):
            assert send(image) == b"{}"
            assert closed.acquire(timeout=5)
