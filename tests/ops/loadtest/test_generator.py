"""The open loop: a server that stalls, one that is slow, and one that is too slow."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ops.loadtest.arrivals import schedule
from ops.loadtest.generator import drive
from ops.loadtest.photos import Photo
from ops.loadtest.step import summarize
from ops.loadtest.target import NoAnswer

PHOTOS = [Photo(b"x", "image/jpeg")]


class Server(ABC):
    """A server within this process that does with the n-th request what `answer(n)` does."""

    name = "test"

    def __init__(self) -> None:
        self.asked = 0
        self._lock = threading.Lock()

    @abstractmethod
    def answer(self, number: int) -> None: ...

    def invoke(self, photo: Photo) -> None:
        with self._lock:
            self.asked += 1
            number = self.asked
        self.answer(number)

    @contextmanager
    def connect(self) -> Iterator["Server"]:
        yield self


class StallsOnce(Server):
    def answer(self, number: int) -> None:
        if number == 10:
            time.sleep(0.5)


class TakesTurns(Server):
    """Answers one request at a time, each in 20 ms: 50 a second."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Lock()

    def answer(self, number: int) -> None:
        with self._turn:
            time.sleep(0.02)


class Refuses(Server):
    def answer(self, number: int) -> None:
        if number % 4 == 0:
            raise NoAnswer("HTTP 503")


def test_a_stall_is_seen_by_everybody_who_was_due_meanwhile() -> None:
    due = schedule(100, 1, "even", 0)
    driven = drive(StallsOnce(), PHOTOS, due, connections=1, give_up_s=5)
    step = summarize(100, driven, settle_s=0)
    # One connection sent 99 requests in no time; but 50 were due while it waited for 500 ms.
    slow = [call for call in driven.calls if call.latency_s > 0.1]
    assert len(slow) >= 35
    assert step.p99_ms > 400
    assert step.p50_ms < step.p90_ms
    assert step.found_busy >= 35
    assert step.requests == 100
    assert not step.failed


def test_a_server_that_is_too_slow_is_given_up_and_the_rest_counts_as_failed() -> None:
    due = schedule(400, 2, "even", 0)
    began = time.monotonic()
    driven = drive(TakesTurns(), PHOTOS, due, connections=2, give_up_s=0.3)
    assert time.monotonic() - began < 2
    step = summarize(400, driven, settle_s=0)
    assert driven.unsent > 600
    assert step.errors == {"not sent": driven.unsent}
    assert step.requests == 800
    assert not step.holds(10_000)
    assert step.answered_rate < 60


def test_failures_are_counted_by_kind_and_no_rate_with_one_is_held() -> None:
    driven = drive(Refuses(), PHOTOS, schedule(200, 0.2, "even", 0), connections=4, give_up_s=5)
    step = summarize(200, driven, settle_s=0)
    assert step.errors == {"HTTP 503": 10}
    assert step.requests == 40
    assert not step.holds(10_000)


def test_the_settling_counts_for_failures_only() -> None:
    driven = drive(Refuses(), PHOTOS, schedule(200, 0.2, "even", 0), connections=4, give_up_s=5)
    step = summarize(200, driven, settle_s=0.1)
    assert step.requests == 20
    assert step.failed == 10


@pytest.mark.parametrize(("connections", "busy"), [(1, True), (64, False)])
def test_who_was_late_the_server_or_the_generator(connections: int, busy: bool) -> None:
    class Slow(Server):
        def answer(self, number: int) -> None:
            time.sleep(0.05)

    driven = drive(Slow(), PHOTOS, schedule(100, 0.5, "even", 0), connections, give_up_s=5)
    step = summarize(100, driven, settle_s=0)
    assert (step.found_busy > 40) is busy
