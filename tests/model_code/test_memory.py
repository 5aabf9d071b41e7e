"""Resident memory of the server after loading a model (Linux)."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from model_code import artifact, inference
from tests.servers import HOST, ROOT, free_port, process, wait_for

WEIGHTS = inference.DEFAULT_MODEL_DIR / artifact.WEIGHTS_FILE
CODE = Path("libopenvino_intel_cpu_plugin.so")
MAX_CODE_MB = 18
"""Measured: 12, and 27 if the code that only compiles is not released."""
MAX_RESIDENT_MB = 200
"""Measured: 163."""


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
        # The second graph is compiled in the background.
        until = time.monotonic() + 30
        while (
            _resident_kb(server.pid, WEIGHTS) > WEIGHTS.stat().st_size / 1024 / 2
            or _resident_kb(server.pid, CODE) > MAX_CODE_MB * 1024
        ):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert _resident_kb(server.pid) < MAX_RESIDENT_MB * 1024


def _resident_kb(pid: int, file: Path | None = None) -> int:
    """Return the resident memory of a process, in all or of one mapped file."""
    sizes = re.findall(
        r"^\S+-\S+ .*?(\S*)\n.*?^Rss: +(\d+) kB",
        Path(f"/proc/{pid}/smaps").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    return sum(int(kb) for name, kb in sizes if file is None or name.endswith(file.name))
