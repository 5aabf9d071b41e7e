"""Runs the images of a batch in parallel, under one deadline."""

import logging
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import TypeVar

from chalicelib.causes import cause_with_location
from chalicelib.deadline import Deadline
from chalicelib.problems import BatchTimeout, InternalError, Problem

T = TypeVar("T")

log = logging.getLogger(__name__)


def classify_all(
    classify: Callable[[str, Deadline], T],
    urls: Sequence[str],
    *,
    concurrency: int,
    timeout_s: float,
) -> list[T | Problem]:
    """Return the result of `classify` for each of `urls`, in order, or the problem it raised.

    Returns after `timeout_s` at the latest: URLs not yet started are skipped, and running calls are
    abandoned. `classify` may raise `TimeoutError` if it notices that the deadline has passed.
    """
    deadline = Deadline(timeout_s)
    executor = futures.ThreadPoolExecutor(concurrency, thread_name_prefix="batch")
    try:
        calls = [executor.submit(_classify, classify, url, deadline) for url in urls]
        done, _ = futures.wait(calls, timeout_s)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return [call.result() if call in done else _timeout() for call in calls]


def _classify(classify: Callable[[str, Deadline], T], url: str, deadline: Deadline) -> T | Problem:
    """Return the result for one image, or its problem, so that no image affects another."""
    try:
        deadline.remaining_s()
        return classify(url, deadline)
    except TimeoutError:
        return _timeout()
    except Problem as problem:
        return problem
    except Exception as error:
        cause = cause_with_location(error)
        log.error("Unexpected error for one image of a batch: %s", cause)
        return InternalError(cause=cause)


def _timeout() -> BatchTimeout:
    return BatchTimeout("The batch timed out before this image was processed. Retry it.")
