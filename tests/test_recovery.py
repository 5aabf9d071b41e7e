"""The model server is killed under load, and restarted: the API recovers."""

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.servers import HOST, api_server, free_port, process, wait_for

pytestmark = pytest.mark.server


def test_sigkill_of_the_model_server_under_load(
    tiny_model_dir: Path, encode: Callable[..., bytes]
) -> None:
    port = free_port()
    runtime = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "model_code.local", "--model", str(tiny_model_dir)]
    command += ["--port", str(port)]
    body, headers = encode("red"), {"Content-Type": "image/png"}
    outcomes: Counter[tuple[int, str]] = Counter()
    stop = threading.Event()

    def load(api: str) -> None:
        while not stop.is_set():
            response = requests.post(f"{api}/predict", body, headers=headers, timeout=60)
            document = response.json()
            result = document.get("type") or document["predictions"][0]["breed"]
            outcomes[response.status_code, result] += 1

    def wait_for_more(outcome: tuple[int, str]) -> None:
        enough, end = outcomes[outcome] + 10, time.monotonic() + 60
        while outcomes[outcome] < enough:
            assert time.monotonic() < end, f"{outcome} is missing: {outcomes}"
            time.sleep(0.01)

    with api_server(runtime) as api:
        threads = [threading.Thread(target=load, args=(api,)) for _ in range(4)]
        try:
            with process(command) as server:
                wait_for(f"{runtime}/ping", server)
                for thread in threads:
                    thread.start()
                wait_for_more((200, "Red setter"))
                server.send_signal(signal.SIGKILL)
                server.wait()
                wait_for_more((503, "endpoint-unavailable"))
            with process(command) as server:
                wait_for(f"{runtime}/ping", server)
                wait_for_more((200, "Red setter"))
                stop.set()
                for thread in threads:
                    thread.join()
        finally:
            stop.set()
    assert set(outcomes) == {(200, "Red setter"), (503, "endpoint-unavailable")}
