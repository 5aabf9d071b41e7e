"""Turn Ctrl-C, and the SIGTERM of a cancelled pipeline, into an exception."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The process received a signal to end.

    Not an Exception: botocore turns any that is raised while it waits for a response into an error
    of the connection, which it retries.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the block at SIGINT and SIGTERM, every time.

    GitHub sends SIGINT and, 7.5 s later, SIGTERM to a cancelled step:
    https://docs.github.com/en/actions/reference/workflow-cancellation-reference
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in before:
            signal.signal(each, _interrupt)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(f"Interrupted by {signal.Signals(number).name}")
