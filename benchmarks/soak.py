"""Send many requests through the API and the model server: no wrong breed, no 5xx, flat memory.

    python -m benchmarks.soak --requests 20000 --clients 8

Starts what `make run` starts, checks every response and samples the resident memory of both
processes. The exit code is 1 if a check fails.
"""

import argparse
import json
import statistics
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from benchmarks import images
from benchmarks.processes import HOST, free_port, process, wait_for
from model_code.inference import DEFAULT_MODEL_DIR
from ops.loadtest.generator import Recording, open_loop
from ops.loadtest.images import Image
from ops.loadtest.target import LocalServer, RequestFailed, Send

SAMPLE_PERIOD_S = 0.25
WARM_UP = 0.2
"""Fraction of the samples after which memory must not grow."""
MAX_GROWTH = 0.05


class Api:
    """The API with one connection per request, as its clients have. It checks each breed."""

    def __init__(self, address: str, breeds: Mapping[bytes, str]) -> None:
        self.name = address
        self._server = LocalServer(f"{address}/predict", timeout_s=30)
        self._breeds = dict(breeds)

    @contextmanager
    def connect(self) -> Iterator[Send]:
        yield self._send

    def _send(self, image: Image) -> bytes:
        with self._server.connect() as send:
            body = send(image)
        breed = json.loads(body)["predictions"][0]["breed"]
        # without a known breed, all responses must agree with the first
        if breed != self._breeds.setdefault(image.body, breed):
            raise RequestFailed("wrong breed")
        return body


class MemorySamples:
    """The resident memory of processes in bytes, by name, sampled while a `with` block runs."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.bytes: dict[str, list[int]] = {name: [] for name in pids}
        self._pids = pids
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "MemorySamples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            for name, pid in self._pids.items():
                self.bytes[name].append(resident_bytes(pid))
            if self._end.wait(SAMPLE_PERIOD_S):
                return


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process (Linux: proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> dict[str, int]:
    """Return the pids of the model server and of the API, which `pid` has started."""
    pids = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_text()
            pids["model server" if "model_code" in command else "API"] = int(child)
    return pids


def growth(samples: Sequence[int]) -> float:
    """Return the relative growth from the first to the last tenth after the warm-up, by median."""
    steady = samples[int(len(samples) * WARM_UP) :]
    tenth = max(1, len(steady) // 10)
    return statistics.median(steady[-tenth:]) / statistics.median(steady[:tenth]) - 1


def run(
    requests: int,
    clients: int,
    jpegs: Sequence[bytes],
    model: Path = DEFAULT_MODEL_DIR,
    breeds: Sequence[str] = (),
) -> bool:
    """Send `jpegs` in turn and print the results. Return whether all checks passed.

    `breeds` are the expected ones. Without them, all responses to an image must agree.
    """
    port = free_port()
    address = f"http://{HOST}:{port}"
    api = Api(address, dict(zip(jpegs, breeds, strict=True)) if breeds else {})
    command = [sys.executable, "-m", "ops", "local", "--port", str(port)]
    with process([*command, "--model", str(model)]) as parent:
        wait_for(f"{address}/health?deep=true", parent)
        with (
            MemorySamples(children(parent.pid)) as memory,
            tqdm(total=requests, unit="request") as progress,
        ):
            recording = open_loop(
                api,
                [Image(jpeg, "image/jpeg") for jpeg in jpegs],
                [0.0] * requests,  # all are due, so each client sends them one after another
                clients,
                give_up_s=float("inf"),
                on_done=lambda body: progress.update(),
            )
    return _report(recording, clients, memory.bytes)


def _report(recording: Recording, clients: int, memory: Mapping[str, Sequence[int]]) -> bool:
    requests, errors = len(recording.calls), recording.errors()
    print(f"{requests} requests, {clients} clients: {requests / recording.wall_s:.0f} per second")
    for error, count in errors.items():
        print(f"  {count:6} {error}")
    flat = True
    for name, samples in memory.items():
        grown = growth(samples)
        flat = flat and grown <= MAX_GROWTH
        print(f"  {name}: {samples[-1] / 1e6:.0f} MB resident, {grown:+.1%} since the warm-up")
    return flat and not errors


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    return 0 if run(options.requests, options.clients, images.payloads(8)) else 1


if __name__ == "__main__":
    sys.exit(main())
