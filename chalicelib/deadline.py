"""The moment by which something must be over."""

import time


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
