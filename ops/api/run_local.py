"""`make run`: the model server and `chalice local`, together until Ctrl-C.

Needs no AWS account: the API asks the model server as if it were SageMaker, because boto3 is told
so by one variable, AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME.
"""

import argparse
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "docs" / "samples"
SAMPLE = "dalmatian.png"
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0


class Stopped(Exception):
    """Somebody asked this program to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=_port, default=os.environ.get("PORT") or "8000")
    parser.add_argument("--model", type=Path, default=os.environ.get("MODEL") or None)
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    if not _is_free(options.port):
        print(
            f"Port {options.port} is taken. Stop what listens there, or choose another: "
            "PORT=9000 make run",
            file=sys.stderr,
        )
        return 1
    try:
        with _sample_server() as sample_url:
            return _run(options.port, options.model, sample_url)
    except Stopped:
        return 0


def _run(port: int, model: Path | None, sample_url: str) -> int:
    model_port = _free_port()
    model_command = [sys.executable, "-m", "model_code.local", "--port", str(model_port)]
    if model:
        model_command += ["--model", str(model.resolve())]
    chalice = str(Path(sys.executable).with_name("chalice"))
    api_command = [chalice, "local", "--stage", "local", "--host", HOST, "--port", str(port)]
    # boto3 signs even what goes to this machine, so it wants some key and some region.
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://{HOST}:{model_port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONUNBUFFERED": "1",
    }
    with (
        _process(model_command, environment) as server,
        _process([*api_command, "--no-autoreload"], environment) as api,
    ):
        address = f"http://{HOST}:{port}"
        children = {"model server": server, "API": api}
        # The API would log a line for each time that it is asked in vain: the model comes first.
        for url in (f"http://{HOST}:{model_port}/ping", f"{address}/health?deep=true"):
            if not _wait_until_ready(url, children):
                return 1
        print(_welcome(address, sample_url), flush=True)
        return _watch(children)


def _welcome(address: str, sample_url: str) -> str:
    body = json.dumps({"url": sample_url})
    return f"""
WhatBreed answers at {address}. Ctrl-C ends it. Ask it:

  curl -s {address}/predict -H 'Content-Type: application/json' -d '{body}'

or with a photo of yours:

  curl -s {address}/predict -H 'Content-Type: image/jpeg' --data-binary @dog.jpg
"""


def _wait_until_ready(url: str, children: dict[str, subprocess.Popen[bytes]]) -> bool:
    end = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < end:
        if _ended(children):
            return False
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return True
        except OSError:
            time.sleep(0.05)
    print(f"{url} did not answer within {READY_TIMEOUT_S:g} s.", file=sys.stderr)
    return False


def _watch(children: dict[str, subprocess.Popen[bytes]]) -> int:
    """Sit here until a child ends, or until the program that started this one is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        if _ended(children):
            return 1
        time.sleep(0.5)
    return 0


def _ended(children: dict[str, subprocess.Popen[bytes]]) -> bool:
    for name, child in children.items():
        if child.poll() is not None:
            print(f"The {name} ended with exit code {child.returncode}.", file=sys.stderr)
            return True
    return False


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is gone when the block is left. It has a session of its own, so that Ctrl-C
    reaches this program alone, which then ends the children in order.
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
    """The URL of a picture that can be asked for without any network."""
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
    for further in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(further, signal.SIG_IGN)  # the end has begun, once is enough
    raise Stopped


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
