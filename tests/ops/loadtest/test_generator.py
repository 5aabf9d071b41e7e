"""Tests of arrival times and of the loop: a server that stalls, is slow, overloaded or fails."""

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ops.loadtest.generator import open_loop, schedule
from ops.loadtest.images import Image
from ops.loadtest.step import summarize
from ops.loadtest.target import RequestFailed, Send

IMAGES = [Image(b"x", "image/jpeg")]


class Server(ABC):
    """A server in this process. `respond` gets the number of the request, from 1 on."""

    name = "test"

    def __init__(self) -> None:
        self.requests = 0
        self._lock = threading.Lock()

    @abstractmethod
    def respond(self, number: int) -> None: ...

    def send(self, image: Image) -> bytes:
        with self._lock:
            self.requests += 1
            number = self.requests
        self.respond(number)
        return b"response"

    @contextmanager
    def connect(self) -> Iterator[Send]:
        yield self.send


class StallsOnce(Server):
    def respond(self, number: int) -> None:
        if number == 10:
            time.sleep(0.5)


class OneAtATime(Server):
    """Takes 20 ms per request and one request at a time: 50 per second."""

    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.Lock()

    def respond(self, number: int) -> None:
        with self._busy:
            time.sleep(0.02)


class FailsEveryFourth(Server):
    def respond(self, number: int) -> None:
        if number % 4 == 0:
            raise RequestFailed("HTTP 503")


class Slow(Server):
    def respond(self, number: int) -> None:
        time.sleep(0.05)


def test_even_arrivals_are_equally_spaced() -> None:
    assert schedule(4, 1.5, "even", 0) == [0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_poisson_arrivals_have_the_rate_and_variance_of_many_clients() -> None:
    due = schedule(200, 50, "poisson", seed=1)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1 / 200, rel=0.05)
    assert variance**0.5 == pytest.approx(mean, rel=0.05)  # of an exponential distribution
    assert due == sorted(due)
    assert 0 < due[0] < due[-1] < 50


def test_arrivals_depend_on_the_seed() -> None:
    assert schedule(10, 5, "poisson", 3) == schedule(10, 5, "poisson", 3)
    assert schedule(10, 5, "poisson", 3) != schedule(10, 5, "poisson", 4)


def test_a_stall_delays_all_requests_that_become_due_meanwhile() -> None:
    due = schedule(100, 1, "even", 0)
    recording = open_loop(StallsOnce(), IMAGES, due, connections=1, give_up_s=5)
    step = summarize(100, recording, settle_s=0, p99_ms=10_000)
    # The other 99 requests took no time, but 50 were due while the connection waited for 500 ms.
    slow = [call for call in recording.calls if call.latency_s > 0.1]
    assert len(slow) >= 35
    assert step.p99_ms > 400
    assert step.p50_ms < step.p90_ms
    assert step.connections_busy >= 35
    assert step.requests == 100
    assert not step.failed


def test_an_overloaded_server_aborts_the_loop_and_the_rest_counts_as_failed() -> None:
    due = schedule(400, 2, "even", 0)
    began = time.monotonic()
    recording = open_loop(OneAtATime(), IMAGES, due, connections=2, give_up_s=0.3)
    assert time.monotonic() - began < 2
    step = summarize(400, recording, settle_s=0, p99_ms=10_000)
    assert recording.unsent > 600
    assert step.errors == {"not sent": recording.unsent}
    assert step.requests == 800
    assert not step.passed
    assert step.answered_rate < 60


def test_failures_are_counted_by_kind_and_fail_the_step() -> None:
    due = schedule(200, 0.2, "even", 0)
    recording = open_loop(FailsEveryFourth(), IMAGES, due, connections=4, give_up_s=5)
    step = summarize(200, recording, settle_s=0, p99_ms=10_000)
    assert step.errors == {"HTTP 503": 10}
    assert step.requests == 40
    assert not step.passed


def test_while_settling_only_failures_count() -> None:
    due = schedule(200, 0.2, "even", 0)
    recording = open_loop(FailsEveryFourth(), IMAGES, due, connections=4, give_up_s=5)
    step = summarize(200, recording, settle_s=0.1, p99_ms=10_000)
    assert step.requests == 20
    assert step.failed == 10


@pytest.mark.parametrize(("connections", "busy"), [(1, True), (64, False)])
def test_lateness_is_attributed_to_the_server_or_to_the_generator(
    connections: int, busy: bool
) -> None:
    due = schedule(100, 0.5, "even", 0)
    recording = open_loop(Slow(), IMAGES, due, connections, give_up_s=5)
    step = summarize(100, recording, settle_s=0, p99_ms=10_000)
    assert (step.connections_busy > 40) is busy


def test_requests_that_are_due_at_once_follow_each_other_until_the_loop_is_aborted() -> None:
    bodies = list[bytes | None]()
    server = Slow()
    recording = open_loop(server, IMAGES, [0.0] * 100, 2, give_up_s=0.5, on_done=bodies.append)
    assert server.requests == len(recording.calls) == len(bodies)
    assert 2 <= len(recording.calls) <= 2 * 0.5 / 0.05 + 2
    assert set(bodies) == {b"response"}
    assert all(call.done_s - call.sent_s >= 0.05 for call in recording.calls)
    assert recording.unsent == 100 - len(recording.calls)


def test_failures_are_reported_as_missing_bodies() -> None:
    bodies = list[bytes | None]()
    target = FailsEveryFourth()
    recording = open_loop(target, IMAGES, [0.0] * 100, 1, give_up_s=5, on_done=bodies.append)
    assert bodies.count(None) == sum(recording.errors().values()) == 25
