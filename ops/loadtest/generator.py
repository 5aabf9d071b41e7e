"""Send requests from a pool of threads, in an open or a closed loop, and record every call.

In an open loop, requests are due at given times and latency counts from then. If the server is so
slow that all connections wait for it, the next request is sent late, and its client has waited too.
A generator that ignored this (coordinated omission) would report only the good moments.
Source: Gil Tene, "How NOT to Measure Latency", and wrk2.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ops.loadtest.images import Image
from ops.loadtest.target import RequestFailed, Target

START_S = 0.05
"""Time for the threads to start before the first request is due."""

OnDone = Callable[[bytes | None], object]
"""Called after each request with the body of its response, or None if it failed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, in seconds after the start."""

    due_s: float
    sent_s: float
    done_s: float
    error: str | None
    connections_busy: bool
    """All connections waited for responses when it was due, so the server made it late."""

    @property
    def latency_s(self) -> float:
        return self.done_s - self.due_s

    @property
    def late_s(self) -> float:
        return self.sent_s - self.due_s


@dataclass(slots=True)
class Recording:
    """All calls of a loop."""

    calls: list[Call] = field(default_factory=list)
    unsent: int = 0
    """Requests that were due but not sent, because the loop was aborted."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time of this process. Python code cannot use more than one core."""

    def errors(self) -> dict[str, int]:
        """Return the number of failed and unsent requests by kind, the most frequent first."""
        errors = Counter(call.error for call in self.calls if call.error)
        if self.unsent:
            errors["not sent"] = self.unsent
        return dict(errors.most_common())


def schedule(rate: float, duration_s: float, kind: str, seed: int) -> list[float]:
    """Return the due times in seconds, ascending, of `duration_s` at `rate` requests per second.

    `poisson` draws independent times, as from many independent clients. `even` spaces requests
    equally, which is easier for a server than real clients are.
    """
    if kind == "even":
        return [number / rate for number in range(int(rate * duration_s))]
    generator = np.random.default_rng(seed)
    times = generator.uniform(0, duration_s, generator.poisson(rate * duration_s))
    return list(np.sort(times).tolist())


def open_loop(
    target: Target,
    images: Sequence[Image],
    due_s: Sequence[float],
    connections: int,
    give_up_s: float,
    on_done: OnDone = lambda body: None,
) -> Recording:
    """Send a request at each of `due_s`, over at most `connections`.

    Abort once a request is `give_up_s` late. The rest counts as not sent.
    """
    late = threading.Event()

    def due(number: int, now_s: float) -> float | None:
        if number >= len(due_s) or late.is_set():
            return None
        if now_s - due_s[number] > give_up_s:
            late.set()
            return None
        return due_s[number]

    recording = _run(target, images, due, min(connections, len(due_s)), on_done)
    recording.unsent = len(due_s) - len(recording.calls)
    return recording


def closed_loop(
    target: Target,
    images: Sequence[Image],
    duration_s: float,
    connections: int,
    on_done: OnDone = lambda body: None,
) -> Recording:
    """Send the next request on each connection as soon as it has a response, for `duration_s`."""

    def due(_: int, now_s: float) -> float | None:
        return max(now_s, 0.0) if now_s < duration_s else None

    return _run(target, images, due, connections, on_done)


def _run(
    target: Target,
    images: Sequence[Image],
    due: Callable[[int, float], float | None],
    connections: int,
    on_done: OnDone,
) -> Recording:
    """Run `connections` threads until `due(number, now_s)` returns None for the next request."""
    recording = Recording()
    numbers = itertools.count()  # next() on it is atomic
    cpu_start_s = time.process_time()
    start = time.perf_counter() + START_S

    def work() -> None:
        with target.connect() as send:
            while True:
                number = next(numbers)
                free_s = time.perf_counter() - start
                due_s = due(number, free_s)
                if due_s is None:
                    return
                if due_s > free_s:
                    time.sleep(due_s - free_s)
                sent_s = time.perf_counter() - start
                body, error = None, None
                try:
                    body = send(images[number % len(images)])
                except RequestFailed as failure:
                    error = str(failure)
                done_s = time.perf_counter() - start
                busy = free_s > due_s
                recording.calls.append(Call(due_s, sent_s, done_s, error, connections_busy=busy))
                on_done(body)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recording.wall_s = time.perf_counter() - start
    recording.cpu_s = time.process_time() - cpu_start_s
    return recording
