"""`make run`, as a user types it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.processes import Process
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
        curl = _printed_curl(child)
        response = subprocess.run(curl, shell=True, check=True, capture_output=True, text=True)
        assert '"predictions"' in response.stdout
        os.killpg(child.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        child.wait(30)
    deadline = time.monotonic() + 5
    while (listening := _is_listening(port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not listening
    assert _processes_with(str(port), str(tiny_model_dir)) == []


def test_it_ignores_what_the_shell_configures_for_other_programs(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Proxies, AWS settings and Python paths which would break or redirect boto3 and Python."""
    port, closed_port = free_port(), free_port()
    nowhere = f"http://{HOST}:{closed_port}"
    (tmp_path / "chalice.py").write_text("raise SystemExit('the wrong chalice')")
    (tmp_path / "config").write_text("[default]\nignore_configured_endpoint_urls = true\n")
    hostile = {
        **dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"), nowhere),
        "NO_PROXY": "example.com",
        "AWS_PROFILE": "missing",
        "AWS_DEFAULT_PROFILE": "missing",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": nowhere,
        "AWS_CA_BUNDLE": str(tmp_path / "missing.pem"),
        "AWS_DATA_PATH": str(tmp_path / "missing"),
        "AWS_DEFAULTS_MODE": "unknown",
        "AWS_MAX_ATTEMPTS": "many",
        "AWS_RETRY_MODE": "unknown",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "error",
    }
    with process(["make", "run"], PORT=str(port), MODEL=str(tiny_model_dir), **hostile) as child:
        wait_for(f"http://{HOST}:{port}/health?deep=true", child)
        curl = _printed_curl(child)
        response = subprocess.run(
            curl,
            shell=True,
            env={**os.environ, **hostile},
            check=True,
            capture_output=True,
            text=True,
        )
    assert '"predictions"' in response.stdout


def test_curl_gets_no_option_that_it_does_not_need(tiny_model_dir: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ops", "local", "--port", str(port)]
    with process([*command, "--model", str(tiny_model_dir)], NO_PROXY="*") as child:
        assert _printed_curl(child).strip().startswith(f"curl -s http://{HOST}:{port}/predict")


def _printed_curl(child: Process) -> str:
    """Wait for the welcome message and return its first command."""
    while "@dog.jpg" not in child.output():
        assert child.poll() is None, child.output()
        time.sleep(0.05)
    return next(line for line in child.output().splitlines() if "curl" in line)


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
