"""Web servers on loopback, each for the duration of a `with` block."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.processes import HOST, ROOT, free_port, process, wait_for

__all__ = [
    "HOST", "ROOT", "Handle", "SwitchableHandler", "answer", "api_server", "free_port",
    "model_server", "process", "wait_for", "web_server", "whole_product",
]  # fmt: skip

Handle = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def web_server(handle: Handle) -> Iterator[str]:
    """Start a server that passes every GET and POST to `handle`; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # some tests disconnect on purpose

    server = Server((HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Handle:
    """Return a handler that reads the request and always sends the same response."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length", "0")))
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return handle


class SwitchableHandler:
    """A handler that passes requests to another one, which can be replaced."""

    def __init__(self) -> None:
        self.handle: Handle = answer(500)

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        self.handle(request)


@contextmanager
def model_server(model: Path, module: str = "model_code.local", *options: str) -> Iterator[str]:
    """Start a model server; yield its address once it responds."""
    port = free_port()
    command = [sys.executable, "-m", module, "--host", HOST, *options]
    with process([*command, "--model", str(model), "--port", str(port)]) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/ping", child)
        yield address


@contextmanager
def api_server(
    runtime_address: str, stage: str = "local", project: Path = ROOT, **environment: str
) -> Iterator[str]:
    """Start `chalice local` with the Runtime API at `runtime_address`; yield its address."""
    port = free_port()
    chalice = str(Path(sys.executable).with_name("chalice"))
    command = [
        chalice,
        "--project-dir",
        str(project),
        "local",
        "--stage",
        stage,
        "--port",
        str(port),
        "--no-autoreload",
    ]
    aws = {
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime_address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with process(command, **aws, **environment) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/health", child)
        yield address


@contextmanager
def whole_product(**environment: str) -> Iterator[str]:
    """Start what `make run` starts; yield the API's address when its model is ready."""
    port = free_port()
    command = [sys.executable, "-m", "ops", "local", "--port", str(port)]
    with process(command, **environment) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/health?deep=true", child)
        yield address
