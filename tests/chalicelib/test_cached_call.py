import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.cached_call import CachedCall


class Clock:
    time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_result_is_cached_until_it_expires() -> None:
    clock, numbers = Clock(), iter(range(10))
    call = CachedCall(lambda: next(numbers), 5, clock)
    assert [call(), call()] == [0, 0]
    clock.time += 4.9
    assert call() == 0
    clock.time += 0.1
    assert [call(), call()] == [1, 1]


def test_concurrent_callers_share_one_call() -> None:
    started, released = threading.Event(), threading.Event()
    calls: list[str] = []

    def function() -> str:
        calls.append("")
        started.set()
        assert released.wait(30)
        return "model"

    call = CachedCall(function, 5)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(call)
        assert started.wait(30)
        others = [threads.submit(call) for _ in range(7)]
        released.set()
        assert {future.result(30) for future in (first, *others)} == {"model"}
    assert len(calls) == 1


def test_an_exception_is_not_cached() -> None:
    results: list[Exception | str] = [ConnectionError(), "model"]

    def function() -> str:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    call = CachedCall(function, 5)
    with pytest.raises(ConnectionError):
        call()
    assert [call(), call()] == ["model", "model"]
