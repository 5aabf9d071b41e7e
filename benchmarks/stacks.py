"""What is measured against what: how each server is started, asked and understood."""

import contextlib
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import load, pictures
from benchmarks.load import Load
from benchmarks.processes import HOST, ROOT, ServerFailed, Session, session
from model_code.inference import DEFAULT_MODEL_DIR

PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
START_TIMEOUT_S = 120.0
PICTURES = 24
"""How many different photos the clients send in turn."""

BOUNDARY = "whatbreed-benchmark"


@dataclass(frozen=True)
class Stack:
    """A server: its name in the table, its command without the port, and how it is asked."""

    name: str
    command: Sequence[str]
    path: str = "/invocations"
    multipart_field: str = ""
    """The form field that takes the photo; empty where the photo is the body."""
    unwrap: Callable[[Any], Any] = lambda document: document
    """The prediction within the answer's JSON."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def request(self, photo: bytes) -> bytes:
        """The HTTP request that asks about `photo`."""
        if not self.multipart_field:
            return load.post(self.path, "image/jpeg", photo)
        body = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{self.multipart_field}"; '
            f'filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        ).encode()
        body += photo + f"\r\n--{BOUNDARY}--\r\n".encode()
        return load.post(self.path, f"multipart/form-data; boundary={BOUNDARY}", body)

    def plausible(self, document: Any) -> bool:
        """Whether an answer holds a finite logit for more than one breed."""
        found = self.unwrap(document)
        logits = found.get("logits") if isinstance(found, dict) else found
        return (
            isinstance(logits, list)
            and len(logits) > 1
            and all(isinstance(logit, float) and math.isfinite(logit) for logit in logits)
        )


@dataclass(frozen=True)
class Server:
    """A stack that has answered."""

    stack: Stack
    port: int
    processes: Session

    def drive(
        self,
        clients: int,
        seconds: float,
        warm_up_s: float,
        photos: Sequence[bytes] = (),
    ) -> Load:
        """A load of which every answer was right. Raises `ServerFailed`."""
        requests = [self.stack.request(photo) for photo in photos or pictures.payloads(PICTURES)]
        try:
            found = load.drive(
                HOST,
                self.port,
                requests,
                clients=clients,
                seconds=seconds,
                warm_up_s=warm_up_s,
            )
            found.judge(self.stack.plausible)
        except (OSError, ValueError) as error:
            raise ServerFailed(f"{self.stack.name}: {error}\n{self.processes.said()}") from None
        return found


def ours(model: Path = DEFAULT_MODEL_DIR) -> Stack:
    """Our server, started as its container starts it (model_code/Dockerfile)."""
    command = [sys.executable, "-m", "model_code.serve", "serve", "--model", str(model)]
    environment = {"MALLOC_ARENA_MAX": "1"}
    return Stack("WhatBreed", [*command, "--host", HOST, "--port"], environment=environment)


def torchserve(network: str, title: str, workers: int, folder: Path) -> Stack:
    """AWS's container stack with `network`; `folder` keeps what it lays out there.

    The cores are shared out among the workers, as TorchServe's guide has it ("core pinning"):
    https://pytorch.org/serve/performance_guide.html. The container starts a worker for each core.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(PEERS_PYTHON), "-m", "benchmarks.peers.torchserve", network, str(folder)]
    environment = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        "OMP_NUM_THREADS": str(max(1, cores() // workers)),
    }
    return Stack(f"TorchServe, {title}", command, environment=environment)


def litserve() -> Stack:
    return Stack(
        "LitServe, our model",
        [str(PEERS_PYTHON), "-m", "benchmarks.peers.lit"],
        path="/predict",
        multipart_field="photo",
    )


def bentoml(folder: Path) -> Stack:
    """BentoML writes to its home even when it only serves: to `folder`."""
    bento = str(PEERS_PYTHON.with_name("bentoml"))
    return Stack(
        "BentoML, our model",
        [bento, "serve", "benchmarks.peers.bento:WhatBreed", "--host", HOST, "--port"],
        path="/predict",
        multipart_field="images",
        unwrap=lambda document: document[0],
        environment={"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"},
    )


@contextlib.contextmanager
def started(stack: Stack) -> Iterator[Server]:
    """`stack`, which has answered a first photo; gone when the block is left."""
    port = free_port()
    with session([*stack.command, str(port)], **stack.environment) as processes:
        server = Server(stack, port, processes)
        _await_answer(server)
        yield server


def _await_answer(server: Server) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    reason: Exception | None = None
    request = server.stack.request(pictures.payloads(PICTURES)[0])
    while time.monotonic() < end and not server.processes.ended():
        try:
            load.ask(HOST, server.port, request).judge(server.stack.plausible)
        except (OSError, ValueError) as error:
            reason = error
        else:
            return
        time.sleep(0.1)
    raise ServerFailed(f"{server.stack.name} never answered ({reason}): {server.processes.said()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def cores() -> int:
    """How many cores this process, and the servers that it starts, may use."""
    return len(os.sched_getaffinity(0))
