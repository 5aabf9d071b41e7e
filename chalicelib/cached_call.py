"""A function's result, cached for some seconds and shared by concurrent callers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class CachedCall(Generic[T]):
    """Calls `function` at most once at a time, and again `ttl_s` seconds after it returned.

    An exception is raised in all callers that waited for it, and is not cached.
    """

    def __init__(
        self, function: Callable[[], T], ttl_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._function = function
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: Future[T] | None = None
        self._expiry = 0.0

    def __call__(self) -> T:
        with self._lock:
            call = self._latest
            if is_first := call is None or (call.done() and self._clock() >= self._expiry):
                call = self._latest = Future()
        if is_first:
            self._run(call)
        return call.result()

    def _run(self, call: Future[T]) -> None:
        try:
            result = self._function()
        except BaseException as error:
            self._latest = None
            call.set_exception(error)
        else:
            self._expiry = self._clock() + self._ttl_s
            call.set_result(result)
