"""Run the API and the model on this machine until Ctrl-C, as `make run` does.

It needs no AWS account: AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME points boto3 at a local model server.

example:
  python -m ops local
  python -m ops local --port 9000 --model build/model
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from chalicelib.local_environment import local_environment
from cli import commands
from cli.errors import CommandError

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "docs" / "samples"
SAMPLE = "dalmatian.png"
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Children = dict[str, subprocess.Popen[bytes]]


class _Stopped(Exception):
    """Raised by the signals that stop this command."""


@commands.command(__doc__)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    envvar="PORT",
    help="Port of the API. Default: PORT or 8000.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    envvar="MODEL",
    help="Folder of the model. Default: MODEL or model_code/default.",
)
def command(port: int, model: Path | None) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop)
    _require_free(port)
    with suppress(_Stopped), _sample_server() as sample_url:
        _run(port, model, sample_url)


def _run(port: int, model: Path | None, sample_url: str) -> None:
    model_port = _free_port()
    model_command = [sys.executable, "-m", "model_code.local", "--port", str(model_port)]
    if model:
        model_command += ["--model", str(model)]
    chalice = str(Path(sys.executable).with_name("chalice"))
    api_command = [chalice, "local", "--stage", "local", "--host", HOST, "--port", str(port)]
    environment = local_environment(os.environ, f"http://{HOST}:{model_port}")
    environment["PYTHONUNBUFFERED"] = "1"
    with (
        _process(model_command, environment) as server,
        _process([*api_command, "--no-autoreload"], environment) as api,
    ):
        children = {"model server": server, "API": api}
        address = f"http://{HOST}:{port}"
        # The model first: the API logs a line for each health check that fails.
        for url in (f"http://{HOST}:{model_port}/ping", f"{address}/health?deep=true"):
            _wait_until_ready(url, children)
        print(_welcome(address, sample_url), flush=True)
        parent = os.getppid()
        while os.getppid() == parent:  # do not outlive the shell
            _require_running(children)
            time.sleep(0.5)


def _welcome(address: str, sample_url: str) -> str:
    body = json.dumps({"url": sample_url})
    curl = f"curl -s{_no_proxy_option()} {address}/predict"
    return f"""
WhatBreed is running at {address}. Press Ctrl-C to stop it. Try it:

  {curl} -H 'Content-Type: application/json' -d '{body}'

or with a photo of your own:

  {curl} -H 'Content-Type: image/jpeg' --data-binary @dog.jpg
"""


def _no_proxy_option() -> str:
    """Return curl's option for a shell with a proxy, which would get requests to this machine."""
    uses_proxy = {"http", "all"} & set(urllib.request.getproxies())
    return f" --noproxy {HOST}" if uses_proxy and not urllib.request.proxy_bypass(HOST) else ""


def _wait_until_ready(url: str, children: Children) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        _require_running(children)
        try:
            with _without_proxy.open(url, timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise CommandError(f"{url} did not respond within {READY_TIMEOUT_S:g} s.")


def _require_running(children: Children) -> None:
    for name, child in children.items():
        if child.poll() is not None:
            raise CommandError(f"The {name} exited with code {child.returncode}.")


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child until the block is left.

    It gets its own session, so Ctrl-C reaches only this command, which stops the children in order.
    """
    child = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def _sample_server() -> Iterator[str]:
    """Serve the sample image and yield its URL, so that the first request needs no network."""
    handler = functools.partial(_QuietHandler, directory=str(SAMPLES))
    server = ThreadingHTTPServer((HOST, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}/{SAMPLE}"
    finally:
        server.shutdown()
        server.server_close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _stop(number: int, _: object) -> None:
    for signal_number in _STOP_SIGNALS:
        signal.signal(signal_number, signal.SIG_IGN)  # a second Ctrl-C must not stop the clean-up
    raise _Stopped


def _require_free(port: int) -> None:
    try:
        socket.create_server((HOST, port)).close()  # sets SO_REUSEADDR, as the API does
    except OSError:
        raise CommandError(
            f"Port {port} is in use. Stop the program that uses it or choose another port: "
            "PORT=9000 make run"
        ) from None


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])
