"""The container's server, as a process."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import requests

from model_code import inference
from model_code.errors import Overloaded
from model_code.http_limits import MAX_CONNECTIONS
from model_code.images import MAX_PAYLOAD_BYTES
from model_code.prediction import Look
from model_code.serve import Predictor, create_app
from tests import hostile_images, tiny_model
from tests.servers import HOST, ROOT, free_port, model_server, process, wait_for

pytestmark = pytest.mark.server
Encode = Callable[..., bytes]
T = TypeVar("T")
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def address(tiny_model_dir: Path) -> Iterator[str]:
    with model_server(tiny_model_dir, "model_code.serve") as address:
        yield address


def test_ping(address: str) -> None:
    response = requests.get(f"{address}/ping", timeout=5)
    assert (response.status_code, response.content) == (200, b"")


def test_invocations(address: str, encode: Encode) -> None:
    response = requests.post(f"{address}/invocations", encode("blue"), headers=PNG, timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["logits"] == pytest.approx([0, 0, 10], abs=1e-3)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b" " * 10_000 + b"{}", "application/json", 400),
        (bytes(MAX_PAYLOAD_BYTES + 1), "image/jpeg", 413),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"no image", "image/jpeg", 422),
    ],
)
def test_client_errors(address: str, body: bytes, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    response = requests.post(f"{address}/invocations", body, headers=headers, timeout=5)
    assert response.status_code == status
    assert re.fullmatch(r"[^\n]{5,100}", response.json()["error"])


def test_an_endless_body_is_cut(address: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(2 * MAX_PAYLOAD_BYTES // 65536):
            yield bytes(65536)

    response = requests.post(f"{address}/invocations", endless(), headers=PNG, timeout=5)
    assert response.status_code == 413


def test_clients_that_disconnect_affect_no_others(address: str, encode: Encode) -> None:
    host, port = address.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: 1000\r\n\r\nhalf"
            )
    response = requests.post(f"{address}/invocations", encode("red"), headers=PNG, timeout=5)
    assert response.status_code == 200


class SlowModel:
    """A model whose inferences wait for an event, and are recorded by their first pixel."""

    def __init__(self, model: inference.Model) -> None:
        self.artifact = model.artifact
        self.started = threading.Event()
        self.released = threading.Event()
        self.inferred: list[tuple[int, ...]] = []
        self._model = model

    def infer(self, pixels: np.ndarray) -> Look:
        self.started.set()
        assert self.released.wait(30)
        self.inferred.append(tuple(pixels[0, 0].tolist()))
        return self._model.infer(pixels)


def run_in_thread(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in an event loop of its own: Playwright has one in the main thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main).result()


def test_a_queued_prediction_is_cancelled_if_its_client_disconnects(
    tiny_model_dir: Path, encode: Encode
) -> None:
    """One busy worker, and a queue with a client that disconnects and one that waits."""
    model = SlowModel(inference.model_fn(tiny_model_dir))
    predictor = Predictor(cast(inference.Model, model), workers=1)
    app = create_app(predictor)

    async def invoke(colour: tuple[int, int, int], disconnects: bool = False) -> int:
        scope = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b""}
        headers = [(b"content-type", b"image/png")]
        messages = [{"type": "http.request", "body": encode(colour)}]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            if not disconnects:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await app({**scope, "headers": headers}, receive, send)
        return statuses[0]

    async def run() -> list[int]:
        first = asyncio.ensure_future(invoke((255, 0, 0)))
        await asyncio.to_thread(model.started.wait, 30)
        last = asyncio.ensure_future(invoke((0, 0, 255)))
        cancelled = await invoke((0, 255, 0), disconnects=True)
        model.released.set()
        return [await first, cancelled, await last]

    assert run_in_thread(run()) == [200, 499, 200]
    assert model.inferred == [(255, 0, 0), (0, 0, 255)]
    predictor.close()


def test_sigterm_finishes_open_requests(tiny_model_dir: Path, encode: Encode) -> None:
    port = free_port()
    command = [sys.executable, "-m", "model_code.serve", "--host", HOST, "--port", str(port)]
    with process([*command, "--model", str(tiny_model_dir)]) as child:
        wait_for(f"http://{HOST}:{port}/ping", child)
        body = encode("red")
        with socket.create_connection((HOST, port)) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            time.sleep(0.2)
            child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert child.wait(20) in (0, -signal.SIGTERM)


def test_a_full_queue_refuses_invocations(tiny_model_dir: Path, encode: Encode) -> None:
    model = SlowModel(inference.model_fn(tiny_model_dir))
    predictor = Predictor(cast(inference.Model, model), workers=1, max_waiting=2)

    async def run() -> list[bytes | BaseException]:
        async def call() -> bytes:
            with predictor.place():
                return await predictor.invoke(encode("red"), "image/png")

        calls = [asyncio.ensure_future(call()) for _ in range(5)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        model.released.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = run_in_thread(run())
    assert [type(result) for result in results] == [bytes] * 3 + [Overloaded] * 2
    predictor.close()


@pytest.mark.parametrize("module", ["model_code.serve", "model_code.local"])
def test_a_broken_model_is_reported_in_one_line(tmp_path: Path, module: str) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"half")
    completed = subprocess.run(
        [sys.executable, "-m", module, "--model", str(tmp_path), "--port", str(free_port())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ},
    )
    assert completed.returncode == 1
    assert len((completed.stderr + completed.stdout).strip().splitlines()) == 1
    assert "model.bin is damaged" in completed.stderr


def test_stalled_requests_are_ended(address: str) -> None:
    """Connections that send nothing, half a head, or half a body do not stay open."""
    host, port = address.removeprefix("http://").split(":")
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    beginnings = (b"", head, head + b"Content-Length: 1000\r\n\r\nhalf a body")
    connections = []
    for beginning in beginnings * 5:
        connection = socket.create_connection((host, int(port)), timeout=60)
        connection.sendall(beginning)
        connections.append(connection)
    for connection in connections:
        with connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
            while connection.recv(1000):
                pass  # until the server closes the connection
    assert requests.get(f"{address}/ping", timeout=5).status_code == 200


def test_a_body_that_nothing_reads_is_ended(address: str) -> None:
    """The response comes at once. The rest of the body must not keep the connection open."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"x")  # which ends uvicorn's own timeout
        assert connection.recv(100) == b""


def test_a_large_head_is_refused(address: str) -> None:
    response = requests.get(f"{address}/ping", headers={"X-Filler": "x" * 20_000}, timeout=5)
    assert response.status_code == 400
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nX-Filler: " + b"x" * 20_000)  # and no end
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_connections_are_limited(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
        with socket.create_connection((host, int(port)), timeout=30) as one_more:
            assert one_more.recv(100).startswith(b"HTTP/1.1 429 ")


def test_heavy_images_wait_for_each_other_and_others_do_not(address: str) -> None:
    heavy = hostile_images.png(4600, 3450, 16, 6)
    light = hostile_images.encode(hostile_images.photo(640, 480), "JPEG")
    with ThreadPoolExecutor(30) as clients:

        def post(body: bytes) -> requests.Response:
            return requests.post(f"{address}/invocations", body, headers=PNG, timeout=120)

        heavies = [clients.submit(post, heavy) for _ in range(25)]
        wait(heavies, return_when=FIRST_COMPLETED)
        began = time.monotonic()
        assert post(light).status_code == 200
        light_s = time.monotonic() - began
        responses = [future.result() for future in heavies]
        all_s = time.monotonic() - began
    assert {response.status_code for response in responses} == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.headers["Retry-After"] == "1"
    assert light_s < all_s  # the light one did not wait for the last of the heavy ones
