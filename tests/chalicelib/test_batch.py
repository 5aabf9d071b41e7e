"""Batches: parallel, in order, with one deadline."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import batch
from chalicelib.deadline import Deadline
from chalicelib.problems import BatchTimeout, ImageUnreachable, InternalError, Problem


def classify_all(
    classify: Callable[[str, Deadline], str], count: int, **limits: Any
) -> list[str | Problem]:
    urls = [f"u{index}" for index in range(count)]
    return batch.classify_all(classify, urls, **{"concurrency": 8, "timeout_s": 30, **limits})


def test_results_keep_the_order_of_the_urls() -> None:
    last_is_done = threading.Event()

    def classify(url: str, deadline: Deadline) -> str:
        if url == "u7":
            last_is_done.set()
        assert last_is_done.wait(30)
        return url

    assert classify_all(classify, 8) == [f"u{index}" for index in range(8)]


def test_the_limit_of_concurrency() -> None:
    lock, running, highest = threading.Lock(), 0, 0

    def classify(url: str, deadline: Deadline) -> str:
        nonlocal running, highest
        with lock:
            running += 1
            highest = max(highest, running)
        time.sleep(0.03)
        with lock:
            running -= 1
        return url

    classify_all(classify, 12, concurrency=3)
    assert highest == 3


def test_a_failure_affects_its_own_image_only(caplog: pytest.LogCaptureFixture) -> None:
    problem = ImageUnreachable("No response.", cause="at 10.0.0.1")

    def classify(url: str, deadline: Deadline) -> str:
        if url == "u1":
            raise problem
        if url == "u2":
            raise ZeroDivisionError("secret")
        return url

    first, unreachable, unexpected, last = classify_all(classify, 4)
    assert (first, unreachable, last) == ("u0", problem, "u3")
    assert isinstance(unexpected, InternalError)
    assert "secret" not in str(unexpected.document)
    assert "ZeroDivisionError at chalicelib/test_batch.py:" in caplog.text
    assert "secret" not in caplog.text


def test_after_the_deadline_nothing_starts() -> None:
    started: list[str] = []
    released = threading.Event()

    def classify(url: str, deadline: Deadline) -> str:
        started.append(url)
        if url != "u0":
            released.wait(30)
        return url

    start = time.monotonic()
    first, *others = classify_all(classify, 6, concurrency=2, timeout_s=0.3)
    assert time.monotonic() - start < 15
    assert first == "u0"
    assert all(isinstance(result, BatchTimeout) for result in others)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("batch")]
    released.set()
    for thread in threads:
        thread.join(30)
    assert started == ["u0", "u1", "u2"]
