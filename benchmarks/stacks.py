"""The servers that are compared: how each is started and called."""

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import images, load
from benchmarks.load import Load
from benchmarks.processes import HOST, ROOT, ProcessTree, ServerFailed, free_port, process_tree
from model_code.inference import DEFAULT_MODEL_DIR
from ops.loadtest.images import Image

PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
START_TIMEOUT_S = 120.0
IMAGES = 24
"""Number of different images that clients send in turn."""

BOUNDARY = "whatbreed-benchmark"


@dataclass(frozen=True)
class Stack:
    """A server: its name in the results, its command without the port, and its interface."""

    name: str
    command: Sequence[str]
    path: str = "/invocations"
    multipart_field: str = ""
    """The form field of the image; empty if the image is the body."""
    unwrap: Callable[[Any], Any] = lambda document: document
    """Returns the prediction in the response's JSON."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def image(self, jpeg: bytes) -> Image:
        """Return the body of a request and its media type."""
        if not self.multipart_field:
            return Image(jpeg, "image/jpeg")
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{self.multipart_field}"; '
            f'filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        body = head.encode() + jpeg + f"\r\n--{BOUNDARY}--\r\n".encode()
        return Image(body, f"multipart/form-data; boundary={BOUNDARY}")

    def is_prediction(self, document: Any) -> bool:
        """Whether a response has a finite logit for more than one breed."""
        try:
            prediction = self.unwrap(document)
        except (LookupError, TypeError):
            return False
        logits = prediction.get("logits") if isinstance(prediction, dict) else prediction
        return (
            isinstance(logits, list)
            and len(logits) > 1
            and all(isinstance(logit, float) and math.isfinite(logit) for logit in logits)
        )


@dataclass(frozen=True)
class Server:
    """A stack that is running."""

    stack: Stack
    port: int
    processes: ProcessTree

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{self.stack.path}"

    def send(self, jpeg: bytes) -> Any:
        """Return the document of one response. Raise ServerFailed."""
        return load.send(self.url, self.stack.image(jpeg), self.stack.is_prediction)

    def drive(
        self, clients: int, seconds: float, warm_up_s: float, jpegs: Sequence[bytes] = ()
    ) -> Load:
        """Measure a closed loop. Raise ServerFailed if any response is wrong."""
        try:
            return load.drive(
                self.url,
                [self.stack.image(jpeg) for jpeg in jpegs or images.payloads(IMAGES)],
                self.stack.is_prediction,
                clients=clients,
                seconds=seconds,
                warm_up_s=warm_up_s,
            )
        except ServerFailed as error:
            output = self.processes.output()[-3000:]
            raise ServerFailed(f"{self.stack.name}: {error}\n{output}") from None


def ours(model: Path = DEFAULT_MODEL_DIR) -> Stack:
    """Our server, started as in its container (model_code/Dockerfile)."""
    command = [sys.executable, "-m", "model_code.serve", "serve", "--model", str(model)]
    environment = {"MALLOC_ARENA_MAX": "1"}
    return Stack("WhatBreed", [*command, "--host", HOST, "--port"], environment=environment)


def torchserve(network: str, title: str, workers: int, folder: Path) -> Stack:
    """AWS's container stack with `network`, which keeps its files in `folder`.

    The cores are divided among the workers, as TorchServe's guide recommends ("core pinning"):
    https://pytorch.org/serve/performance_guide.html. The container starts one worker per core.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(PEERS_PYTHON), "-m", "benchmarks.peers.torchserve", network, str(folder)]
    environment = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        "OMP_NUM_THREADS": str(max(1, cores() // workers)),
    }
    return Stack(f"TorchServe with {title}", command, environment=environment)


def litserve() -> Stack:
    """LitServe with our model."""
    return Stack(
        "LitServe with our model",
        [str(PEERS_PYTHON), "-m", "benchmarks.peers.lit"],
        path="/predict",
        multipart_field="photo",
    )


def bentoml(folder: Path) -> Stack:
    """BentoML with our model. It writes to `folder` even when it only serves."""
    bento = str(PEERS_PYTHON.with_name("bentoml"))
    return Stack(
        "BentoML with our model",
        [bento, "serve", "benchmarks.peers.bento:WhatBreed", "--host", HOST, "--port"],
        path="/predict",
        multipart_field="images",
        unwrap=lambda document: document[0],
        environment={"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"},
    )


@contextlib.contextmanager
def started(stack: Stack) -> Iterator[Server]:
    """Start `stack`, wait for its first prediction, and stop it when the block is left."""
    port = free_port()
    with process_tree([*stack.command, str(port)], **stack.environment) as processes:
        server = Server(stack, port, processes)
        _wait_for_prediction(server)
        yield server


def _wait_for_prediction(server: Server) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    reason: Exception | None = None
    jpeg = images.payloads(IMAGES)[0]
    while time.monotonic() < end and server.processes.poll() is None:
        try:
            server.send(jpeg)
        except ServerFailed as error:
            reason = error
        else:
            return
        time.sleep(0.1)
    output = server.processes.output()[-3000:]
    raise ServerFailed(f"{server.stack.name} did not start ({reason}): {output}")


def cores() -> int:
    """Return the number of cores that this process and the servers may use."""
    return len(os.sched_getaffinity(0))
