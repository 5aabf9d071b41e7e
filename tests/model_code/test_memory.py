"""Resident memory of the server after loading a model (Linux)."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from model_code import artifact, inference
from tests.servers import HOST, ROOT, free_port, process, wait_for

MAX_RESIDENT_MB = 260
"""Measured: 185 on a CPU with bf16. Without, the weights take twice as much."""


@pytest.mark.server
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_the_server_releases_what_loading_leaves_behind(encode: Callable[..., bytes]) -> None:
    dockerfile = (ROOT / "model_code" / "Dockerfile").read_text()
    arenas = re.findall(r"MALLOC_ARENA_MAX=(\d+)", dockerfile)
    assert arenas == ["1"]
    port = free_port()
    command = [sys.executable, "-m", "model_code.serve", "--host", HOST, "--port", str(port)]
    command += ["--model", str(inference.DEFAULT_MODEL_DIR)]
    with process(command, MALLOC_ARENA_MAX=arenas[0]) as server:
        wait_for(f"http://{HOST}:{port}/ping", server)
        for _ in range(5):
            response = requests.post(
                f"http://{HOST}:{port}/invocations",
                encode("red"),
                headers={"Content-Type": "image/png"},
                timeout=30,
            )
            assert response.status_code == 200
        sizes = re.findall(
            r"^\S+-\S+ .*?(\S*)\n.*?^Rss: +(\d+) kB",
            Path(f"/proc/{server.pid}/smaps").read_text(),
            re.MULTILINE | re.DOTALL,
        )
    weights_kb = [int(kb) for name, kb in sizes if name.endswith(artifact.WEIGHTS_FILE)]
    assert weights_kb
    size_kb = (inference.DEFAULT_MODEL_DIR / artifact.WEIGHTS_FILE).stat().st_size / 1024
    assert sum(weights_kb) < size_kb / 2  # predictions read some of them again
    assert sum(int(kb) for _, kb in sizes) < MAX_RESIDENT_MB * 1024
