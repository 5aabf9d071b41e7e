"""Poll AWS until something has settled."""

import time
from collections.abc import Callable
from typing import TypeVar

from aws.account import Account

T = TypeVar("T")


def poll(
    account: Account,
    read: Callable[[], T],
    settled: Callable[[T], bool],
    status: Callable[[T], str] | None = None,
    after_each: Callable[[], None] | None = None,
) -> T:
    """Call `read` every `poll_s` seconds until `settled` accepts its result, and return that.

    `status` is printed with the elapsed time whenever it changes. `after_each` runs after every
    poll, for example to print new log lines.
    """
    began, shown = time.monotonic(), ""
    while True:
        state = read()
        if status is not None and (text := status(state)) != shown:
            print(f"{text} ({time.monotonic() - began:.0f} s)", flush=True)
            shown = text
        if after_each is not None:
            after_each()
        if settled(state):
            return state
        time.sleep(account.settings.poll_s)
