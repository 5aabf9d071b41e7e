"""Many requests through the API and the model server: no wrong answer, no 5xx, flat memory.

    python -m benchmarks.soak --requests 20000 --clients 8

Starts what `make run` starts, posts plain pictures whose colour tells the breed (the model is the
tests' tiny one, so that the plumbing is what is loaded), checks every answer, and watches the
resident memory of both processes. Ends with exit code 1 where anything was wrong.
"""

import argparse
import http.client
import io
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from tests import tiny_model
from tests.servers import HOST, free_port, process, wait_for

COLOURS: dict[str, str | tuple[int, int, int]] = {
    "Red setter": "red",
    "Green hound": (0, 255, 0),
    "Blue terrier": "blue",
}
WARM_UP = 0.2
"""The part of the requests after which memory must not grow."""
MAX_GROWTH = 0.05


def picture(colour: str | tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (256, 256), colour).save(stream, "JPEG")
    return stream.getvalue()


class Soak:
    """Clients that share one counter of requests and one list of what went wrong."""

    def __init__(self, port: int, requests: int) -> None:
        self.port = port
        self.requests = requests
        self.outcomes: Counter[str] = Counter()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pictures = [(breed, picture(colour)) for breed, colour in COLOURS.items()]

    def client(self) -> None:
        """Ask until all requests are made. Each request is a connection, as in Lambda's world."""
        while (number := next(self._numbers)) < self.requests:
            breed, body = self._pictures[number % len(self._pictures)]
            outcome = self._ask(body, breed)
            with self._lock:
                self.outcomes[outcome] += 1

    def _ask(self, body: bytes, breed: str) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            document = json.loads(response.read())
        except (OSError, ValueError) as error:
            return f"no answer: {type(error).__name__}"
        finally:
            connection.close()
        if response.status != 200:
            return f"status {response.status}"
        return "right" if document["predictions"][0]["breed"] == breed else "wrong breed"


def resident_bytes(pid: int) -> int:
    """The resident set of a process (Linux: proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> dict[str, int]:
    """The processes that `pid` started, by what they are."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_text()
            found["model server" if "model_code" in command else "API"] = int(child)
    return found


def growth(samples: Sequence[int]) -> float:
    """How much larger the last tenth is than the first tenth after the warm-up, by median."""
    steady = samples[int(len(samples) * WARM_UP) :]
    tenth = max(1, len(steady) // 10)
    return statistics.median(steady[-tenth:]) / statistics.median(steady[:tenth]) - 1


def run(requests: int, clients: int) -> bool:
    """Whether everything held. Prints what happened."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model.write(Path(folder))
        command = [sys.executable, "-m", "ops", "local", "--port", str(port)]
        with process([*command, "--model", str(model)]) as parent:
            wait_for(f"http://{HOST}:{port}/health?deep=true", parent)
            watched = children(parent.pid)
            memory: dict[str, list[int]] = {name: [] for name in watched}
            soak = Soak(port, requests)
            threads = [threading.Thread(target=soak.client) for _ in range(clients)]
            start = time.monotonic()
            for thread in threads:
                thread.start()
            with tqdm(total=requests, unit="request") as progress:
                while any(thread.is_alive() for thread in threads):
                    time.sleep(0.25)
                    for name, pid in watched.items():
                        memory[name].append(resident_bytes(pid))
                    progress.update(soak.outcomes.total() - progress.n)
            seconds = time.monotonic() - start
    print(f"{requests} requests, {clients} clients: {requests / seconds:.0f} a second")
    for outcome, count in soak.outcomes.most_common():
        print(f"  {count:6} {outcome}")
    flat = True
    for name, samples in memory.items():
        grown = growth(samples)
        flat = flat and grown <= MAX_GROWTH
        print(f"  {name}: {samples[-1] / 1e6:.0f} MB resident, {grown:+.1%} since the warm-up")
    return flat and set(soak.outcomes) == {"right"}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    return 0 if run(options.requests, options.clients) else 1


if __name__ == "__main__":
    sys.exit(main())
