"""A point in time by which an operation must be finished."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """`seconds` from now, on the monotonic clock."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining_s(self) -> float:
        """Return the seconds left. Raise `TimeoutError` if the deadline has passed."""
        remaining_s = self._end - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s

    def earlier(self, other: "Deadline") -> "Deadline":
        """Return this deadline or `other`, whichever comes first."""
        return self if self._end <= other._end else other

    def call(self, function: Callable[[], T]) -> T:
        """Call a function that has no timeout of its own. Raise `TimeoutError` if it is too slow.

        A call that is too slow is abandoned: its thread continues until the function returns.
        """
        remaining_s = self.remaining_s()
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        # A daemon thread, because an executor waits for its threads when the process exits.
        threading.Thread(target=run, name="deadline", daemon=True).start()
        return future.result(remaining_s)
