"""Many pictures side by side, in the order asked, under one deadline."""

import logging
import traceback
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from chalicelib.deadline import Deadline
from chalicelib.problems import BatchTimeout, InternalError, Problem

Document = dict[str, Any]
Classify = Callable[[str, Deadline], Document]

log = logging.getLogger(__name__)


def answer_each(
    classify: Classify, urls: Sequence[str], *, concurrency: int, timeout_s: float
) -> list[Document]:
    """For each of `urls`, in their order: what `classify` answers, or the problem that it raises.

    Returns after `timeout_s` at the latest. What has not begun by then never begins, and what is
    under way is left behind: its thread ends by its own timeouts, and nobody reads its answer.
    `classify` may raise `TimeoutError` where it sees that the deadline has passed.
    """
    deadline = Deadline(timeout_s)
    executor = futures.ThreadPoolExecutor(concurrency, thread_name_prefix="batch")
    try:
        asked = [executor.submit(_document, classify, url, deadline) for url in urls]
        done, _ = futures.wait(asked, timeout_s)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return [future.result() if future in done else _late() for future in asked]


def _document(classify: Classify, url: str, deadline: Deadline) -> Document:
    """One picture's answer, or its problem: whatever happens to it is no other picture's."""
    try:
        deadline.remaining_s()
        return classify(url, deadline)
    except TimeoutError:
        return _late()
    except Problem as problem:
        return _problem(problem)
    except Exception:
        log.error("A picture of a batch met a defect: %s", traceback.format_exc())
        return _problem(InternalError(InternalError.title + "."))


def _late() -> Document:
    return _problem(BatchTimeout("The others took all the time there was. Ask for it again."))


def _problem(problem: Problem) -> Document:
    """Without the request's id, which the middleware gives to every document."""
    document: Document = problem.document("")
    del document["request_id"]
    return document
