"""Real web servers on loopback, for the length of a `with` block."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"

Handle = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def web_server(handle: Handle) -> Iterator[str]:
    """A server that gives every GET and POST to `handle`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that hangs up is what some tests are about

    server = Server((HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
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
    """A handler that reads the request and always answers the same."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length", "0")))
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return handle


class Process(subprocess.Popen[str]):
    """A child whose output goes to a file: a pipe that nobody reads stops who writes to it."""

    def __init__(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> None:
        self._output = output
        with output.open("w") as stream:
            super().__init__(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def said(self) -> str:
        """All that it has written so far."""
        return self._output.read_text()


@contextmanager
def process(command: Sequence[str], **environment: str) -> Iterator[Process]:
    """A child in a process group of its own, which is gone when the block is left."""
    with tempfile.TemporaryDirectory() as folder:
        child = Process(command, Path(folder) / "output", environment)
        try:
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
                try:
                    child.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()


@contextmanager
def model_server(model: Path, module: str = "model_code.local") -> Iterator[str]:
    """A model server's address, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", module, "--host", HOST]
    with process([*command, "--model", str(model), "--port", str(port)]) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/ping", child)
        yield address


@contextmanager
def api_server(runtime_address: str, stage: str = "local", **environment: str) -> Iterator[str]:
    """`chalice local`, asking the Runtime API at `runtime_address`; yields its address."""
    port = free_port()
    chalice = str(Path(sys.executable).with_name("chalice"))
    command = [chalice, "local", "--stage", stage, "--port", str(port), "--no-autoreload"]
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
    """What `make run` starts: the API's address, once it reaches its model."""
    port = free_port()
    command = [sys.executable, "-m", "ops", "local", "--port", str(port)]
    with process(command, **environment) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/health?deep=true", child)
        yield address


def wait_for(url: str, child: Process, timeout_s: float = 60) -> None:
    """Return once `url` answers 200; fail with the child's words if it ends or never does."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} never answered: {child.said()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
