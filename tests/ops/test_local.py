"""`make run`, as a user types it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import tiny_model
from tests.servers import HOST, ROOT, free_port, process, wait_for

pytestmark = pytest.mark.server


def make_run(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run `make run` to its end."""
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
    """Set up .venv, which the first `make run` does, before the tests."""
    subprocess.run(["make", ".venv/ready"], cwd=ROOT, check=True, capture_output=True, timeout=600)


def test_it_responds_and_ctrl_c_leaves_nothing(tiny_model_dir: Path) -> None:
    port = free_port()
    with process(["make", "run"], PORT=str(port), MODEL=str(tiny_model_dir)) as child:
        wait_for(f"http://{HOST}:{port}/health?deep=true", child)
        while "curl" not in child.output():
            assert child.poll() is None
            time.sleep(0.05)
        curl = next(line for line in child.output().splitlines() if "curl" in line)
        response = subprocess.run(curl, shell=True, check=True, capture_output=True, text=True)
        assert '"predictions"' in response.stdout
        os.killpg(child.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        child.wait(30)
    deadline = time.monotonic() + 5
    while (listening := _is_listening(port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not listening
    assert _processes_with(str(port), str(tiny_model_dir)) == []


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _processes_with(*words: str) -> list[str]:
    """The command lines on this machine that contain one of `words`."""
    listing = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    return [line for line in listing.stdout.splitlines() if any(word in line for word in words)]


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        make = make_run(PORT=str(port))
    assert make.returncode != 0
    assert f"Port {port} is in use" in make.stderr
    assert "Traceback" not in make.stderr


@pytest.mark.parametrize("port", ["x", "0", "70000"])
def test_an_invalid_port_is_one_clear_line(port: str) -> None:
    make = make_run(PORT=port)
    assert make.returncode != 0
    assert "--port" in make.stderr
    assert port in make.stderr
    assert "Traceback" not in make.stderr


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    make = make_run(PORT=str(free_port()), MODEL=str(tmp_path / "none"))
    assert make.returncode != 0
    assert f"'{tmp_path / 'none'}' does not exist" in make.stderr
    assert "Traceback" not in make.stderr


def test_a_damaged_model_is_one_clear_line(tmp_path: Path) -> None:
    tiny_model.write(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"half")
    make = make_run(PORT=str(free_port()), MODEL=str(tmp_path))
    assert make.returncode != 0
    assert "model.bin is damaged" in make.stderr
    assert "Traceback" not in make.stdout + make.stderr
    assert _processes_with(str(tmp_path)) == []


def test_it_needs_no_package_of_the_other_commands() -> None:
    program = "import sys, ops.local; print({'pydantic', 'boto3', 'numpy'} & set(sys.modules))"
    python = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert python.stdout == "set()\n"


def test_a_missing_python_is_one_clear_line(tmp_path: Path) -> None:
    """A clone without a virtual environment, on a machine without Python."""
    (tmp_path / "locks").mkdir()
    for name in ("Makefile", "locks/run.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for variable, value in (("PYTHON", ""), ("PYTHON", "/nonexistent/python")):
        make = subprocess.run(
            ["make", "run", f"{variable}={value}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert make.returncode != 0
        assert "Python 3.11 or newer is needed" in make.stderr
        assert not (tmp_path / ".venv").exists()
