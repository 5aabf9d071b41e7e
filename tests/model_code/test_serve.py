"""The container's server, as a real process."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from model_code import inference
from model_code.images import MAX_PAYLOAD_BYTES
from model_code.serve import Predictor, create_app
from tests import tiny_model
from tests.servers import HOST, ROOT, free_port, model_server, process, wait_for

pytestmark = pytest.mark.server
Encode = Callable[..., bytes]
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
        (bytes(MAX_PAYLOAD_BYTES + 1), "image/jpeg", 413),
        (b"x", "text/plain", 415),
        (b"x", "", 415),
        (b"no image", "image/jpeg", 422),
    ],
)
def test_the_callers_faults(address: str, body: bytes, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    response = requests.post(f"{address}/invocations", body, headers=headers, timeout=5)
    assert response.status_code == status
    assert re.fullmatch(r"[^\n]{5,100}", response.json()["error"])


def test_a_body_without_length_is_cut_at_the_limit(address: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(2 * MAX_PAYLOAD_BYTES // 65536):
            yield bytes(65536)

    response = requests.post(f"{address}/invocations", endless(), headers=PNG, timeout=5)
    assert response.status_code == 413


def test_a_client_that_goes_away_harms_nobody(address: str, encode: Encode) -> None:
    host, port = address.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: 1000\r\n\r\nhalf"
            )
    response = requests.post(f"{address}/invocations", encode("red"), headers=PNG, timeout=5)
    assert response.status_code == 200


def test_what_waits_for_a_client_that_went_away_is_not_computed(
    tiny_model_dir: Path, encode: Encode
) -> None:
    """Spoken to as by an ASGI server: one core, busy; behind it one who leaves, one who stays."""
    busy = threading.Event()
    computed: list[str] = []

    class OneCore(Predictor):
        def _answer(self, body: bytes, content_type: str) -> bytes:
            assert busy.wait(10)
            computed.append(content_type)
            return super()._answer(body, "image/png")

    predictor = OneCore(inference.model_fn(tiny_model_dir))
    predictor._threads = ThreadPoolExecutor(1)
    app = create_app(predictor)

    async def ask(name: str, leaves: bool) -> int:
        scope = {"type": "http", "method": "POST", "path": "/invocations", "query_string": b""}
        headers = [(b"content-type", name.encode())]
        events = [{"type": "http.request", "body": encode("red")}]
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop()
            await asyncio.sleep(0.05 if leaves else 60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await app({**scope, "headers": headers}, receive, send)
        return statuses[0]

    async def play() -> list[int]:
        asking = [asyncio.ensure_future(ask("image/first", leaves=False))]
        await asyncio.sleep(0.05)
        asking += [asyncio.ensure_future(ask("image/leaves", leaves=True))]
        asking += [asyncio.ensure_future(ask("image/stays", leaves=False))]
        await asyncio.sleep(0.2)
        busy.set()
        return list(await asyncio.gather(*asking))

    with ThreadPoolExecutor(1) as aside:  # Playwright keeps a loop running in this thread
        assert aside.submit(lambda: asyncio.run(play())).result() == [200, 499, 200]
    assert computed == ["image/first", "image/stays"]
    predictor.close()


def test_sigterm_finishes_what_is_in_flight(tiny_model_dir: Path, encode: Encode) -> None:
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


def test_too_many_at_once_are_refused_and_not_queued(tmp_path: Path, encode: Encode) -> None:
    """More clients than places: some answers are 503, none is wrong, all come."""
    with model_server(tiny_model.write(tmp_path), "model_code.serve") as address:
        statuses: list[int] = []
        from PIL import Image

        body = encode(Image.new("RGB", (3000, 3000), "red"))

        def ask() -> None:
            response = requests.post(f"{address}/invocations", body, headers=PNG, timeout=60)
            statuses.append(response.status_code)

        threads = [threading.Thread(target=ask) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 64


@pytest.mark.parametrize("module", ["model_code.serve", "model_code.local"])
def test_a_broken_model_is_one_line_and_no_server(tmp_path: Path, module: str) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"half")
    ended = subprocess.run(
        [sys.executable, "-m", module, "--model", str(tmp_path), "--port", str(free_port())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ},
    )
    assert ended.returncode == 1
    assert len((ended.stderr + ended.stdout).strip().splitlines()) == 1
    assert "model.bin is damaged" in ended.stderr
