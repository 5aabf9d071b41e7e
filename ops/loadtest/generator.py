"""Send requests when they are due, whatever has become of those before: an open loop.

A latency counts from the moment a request was due, not from when it was sent. Where the server is
so slow that all connections wait for it, the next request is sent late, and its client has waited
all the same: a generator that forgot this (coordinated omission) would report the best of a bad
time. Source: Gil Tene, "How NOT to Measure Latency", and his wrk2.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ops.loadtest.photos import Photo
from ops.loadtest.target import NoAnswer, Target

START_S = 0.05
"""Until the first request is due: the time that the threads need to be there."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, in seconds after the start; `error` is None for an answer."""

    due_s: float
    sent_s: float
    done_s: float
    error: str | None
    found_busy: bool
    """All connections were waiting for answers when it was due: it is late through the server."""

    @property
    def latency_s(self) -> float:
        return self.done_s - self.due_s

    @property
    def late_s(self) -> float:
        return self.sent_s - self.due_s


@dataclass(slots=True)
class Drive:
    """All requests of one schedule, those that were due but never sent, and the CPU it took."""

    calls: list[Call] = field(default_factory=list)
    unsent: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time of this process, all threads: one second a second is all that Python can use."""

    def errors(self) -> dict[str, int]:
        """How many failed, by kind, the unsent among them."""
        found = Counter(call.error for call in self.calls if call.error)
        if self.unsent:
            found["not sent"] = self.unsent
        return dict(found.most_common())


def drive(
    target: Target,
    photos: Sequence[Photo],
    due_s: Sequence[float],
    connections: int,
    give_up_s: float,
    on_done: Callable[[], object] = lambda: None,
) -> Drive:
    """Ask `target` at the offsets `due_s`, with so many connections at most.

    Ends early, and counts the rest as not sent, once a request is `give_up_s` late.
    `on_done` is called after each request, from the thread that made it.
    """
    result = Drive()
    numbers = itertools.count()  # next() on it is atomic: each request is taken by one thread
    stop = threading.Event()
    cpu_began = time.process_time()
    start = time.perf_counter() + START_S

    def work() -> None:
        with target.connect() as connection:
            while (number := next(numbers)) < len(due_s):
                due = due_s[number]
                free = time.perf_counter() - start
                if due > free:
                    time.sleep(due - free)
                sent = time.perf_counter() - start
                if sent - due > give_up_s:
                    stop.set()
                if stop.is_set():
                    return
                error = None
                try:
                    connection.invoke(photos[number % len(photos)])
                except NoAnswer as failure:
                    error = str(failure)
                done = time.perf_counter() - start
                result.calls.append(Call(due, sent, done, error, found_busy=free > due))
                on_done()

    threads = [
        threading.Thread(target=work, daemon=True) for _ in range(min(connections, len(due_s)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.unsent = len(due_s) - len(result.calls)
    result.wall_s = time.perf_counter() - start
    result.cpu_s = time.process_time() - cpu_began
    return result
