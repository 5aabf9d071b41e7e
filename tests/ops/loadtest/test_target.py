"""Who is driven, over real connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ops.loadtest.photos import Photo
from ops.loadtest.target import LocalServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def hangs_up() -> Iterator[tuple[str, threading.Semaphore]]:
    """A server that answers once on each connection and closes it without having said so; the
    semaphore is released with each that is closed."""
    closed = threading.Semaphore(0)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while not connection.recv(65536).endswith(b"photo"):
                    pass
                connection.sendall(ANSWER)
            closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", closed
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_was_closed_while_idle_is_opened_anew() -> None:
    photo = Photo(b"photo", "image/jpeg")
    with hangs_up() as (address, closed), LocalServer(address, 5).connect() as connection:
        for _ in range(3):
            connection.invoke(photo)  # raises NoAnswer where it writes to a closed connection
            assert closed.acquire(timeout=5)
