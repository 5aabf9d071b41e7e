"""`make run`, as a user types it."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests import tiny_model
from tests.servers import HOST, ROOT, free_port, process, wait_for

pytestmark = pytest.mark.server


def make_run(**environment: str) -> subprocess.CompletedProcess[str]:
    """`make run`, for the cases in which it ends by itself."""
    return subprocess.run(
        ["make", "run"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module", autouse=True)
def light_environment() -> None:
    """The first `make run` sets up .venv, which is not what the tests below measure."""
    subprocess.run(["make", ".venv/ready"], cwd=ROOT, check=True, capture_output=True, timeout=600)


def test_it_answers_and_ctrl_c_leaves_nothing(tiny_model_dir: Path) -> None:
    port = free_port()
    with process(["make", "run"], PORT=str(port), MODEL=str(tiny_model_dir)) as child:
        wait_for(f"http://{HOST}:{port}/health?deep=true", child)
        while "curl" not in child.said():
            assert child.poll() is None
            time.sleep(0.05)
        curl = next(line for line in child.said().splitlines() if "curl" in line)
        answer = subprocess.run(curl, shell=True, check=True, capture_output=True, text=True)
        assert '"predictions"' in answer.stdout
        os.killpg(child.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        child.wait(30)
    deadline = time.monotonic() + 5
    while (left := _listeners(port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert _ours(str(port), str(tiny_model_dir)) == []


def _listeners(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _ours(*words: str) -> list[str]:
    """The command lines on this machine that hold one of `words`."""
    listing = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    return [line for line in listing.stdout.splitlines() if any(word in line for word in words)]


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        ended = make_run(PORT=str(port))
    assert ended.returncode != 0
    assert f"Port {port} is taken" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("port", ["x", "0", "70000"])
def test_a_port_that_is_none_is_one_clear_line(port: str) -> None:
    ended = make_run(PORT=port)
    assert ended.returncode != 0
    assert f"{port!r} is no port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_broken_model_is_one_clear_line(tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"half")
    ended = make_run(PORT=str(free_port()), MODEL=str(tmp_path))
    assert ended.returncode != 0
    assert "model.bin is damaged" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert _ours(str(tmp_path)) == []


def test_a_missing_python_is_one_clear_line(tmp_path: Path) -> None:
    """In a clone without a virtual environment, on a machine without a Python."""
    (tmp_path / "locks").mkdir()
    for name in ("Makefile", "locks/run.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for variable, value in (("PYTHON", ""), ("PYTHON", "/nonexistent/python")):
        ended = subprocess.run(
            ["make", "run", f"{variable}={value}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode != 0
        assert "Python 3.11 or newer is needed" in ended.stderr
        assert not (tmp_path / ".venv").exists()
