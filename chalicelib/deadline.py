"""The moment by which something must be over."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadline:
    """`seconds` from now, on a clock that nobody sets."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining_s(self) -> float:
        """Seconds left. Raises `TimeoutError` where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def sooner(self, other: "Deadline") -> "Deadline":
        """This one or `other`, whichever comes first."""
        return self if self._end <= other._end else other

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns or raises; `TimeoutError` where that takes too long.

        For calls that know no deadline of their own. The one that is late is left behind in its
        thread, which ends when the call does.
        """
        left_s = self.remaining_s()
        call = _Call(function)
        thread = threading.Thread(target=call.run, name="deadline", daemon=True)
        thread.start()
        thread.join(left_s)
        if thread.is_alive():
            raise TimeoutError
        return call.result()


class _Call(Generic[T]):
    """A function and, once it ran, its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._returned: list[T] = []
        self._raised: Exception | None = None

    def run(self) -> None:
        try:
            self._returned.append(self._function())
        except Exception as error:
            self._raised = error

    def result(self) -> T:
        if self._raised is not None:
            raise self._raised
        return self._returned[0]
