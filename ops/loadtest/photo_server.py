"""A web server on this machine for the photos of a load test."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ops.loadtest.images import Image

HOST = "127.0.0.1"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the API opens a connection per photo


@contextmanager
def photo_server(images: Sequence[Image]) -> Iterator[list[str]]:
    """Serve `images` on a free port of loopback until the block is left; yield their URLs."""
    by_path = {f"/{number}": image for number, image in enumerate(images)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            image = by_path.get(self.path)
            if image is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", image.media_type)
            self.send_header("Content-Length", str(len(image.body)))
            self.end_headers()
            self.wfile.write(image.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Server((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield [f"http://{HOST}:{server.server_port}{path}" for path in by_path]
        finally:
            server.shutdown()
            thread.join()
