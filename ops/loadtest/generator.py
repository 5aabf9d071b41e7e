"""Send requests at given times from a pool of threads, and record every call.

Latency counts from when a request was due. If the server is so slow that all connections wait for
it, the next request is sent late, and its client has waited too. A generator that ignored this
(coordinated omission) would report only the good moments.
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


@dataclass(slots=True)
class Recording:
    """All calls of a run."""

    calls: list[Call] = field(default_factory=list)
    unsent: int = 0
    """Requests that were due but not sent, because the run was aborted."""
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
    recording = Recording()
    numbers = itertools.count()  # next() on it is atomic
    late = threading.Event()
    cpu_start_s = time.process_time()
    start = time.perf_counter() + START_S

    def work() -> None:
        with target.connect() as send:
            while (number := next(numbers)) < len(due_s) and not late.is_set():
                free_s = time.perf_counter() - start
                wait_s = due_s[number] - free_s
                if wait_s > 0:
                    time.sleep(wait_s)
                elif -wait_s > give_up_s:
                    late.set()
                    return
                sent_s = time.perf_counter() - start
                body, error = None, None
                try:
                    body = send(images[number % len(images)])
                except RequestFailed as failure:
                    error = str(failure)
                done_s = time.perf_counter() - start
                call = Call(due_s[number], sent_s, done_s, error, connections_busy=wait_s < 0)
                recording.calls.append(call)
                on_done(body)

    threads = [
        threading.Thread(target=work, daemon=True) for _ in range(min(connections, len(due_s)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recording.wall_s = time.perf_counter() - start
    recording.cpu_s = time.process_time() - cpu_start_s
    recording.unsent = len(due_s) - len(recording.calls)
    return recording
