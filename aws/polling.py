"""Repeat AWS calls until a resource settles or a new role is known everywhere."""

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

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


def retry(account: Account, call: Callable[[], T], may_pass: Callable[[ClientError], bool]) -> T:
    """Call `call` until it succeeds, at most 12 times, and return its result.

    Only errors that `may_pass` accepts are retried: IAM needs seconds to spread a new role.
    """
    for _ in range(11):
        try:
            return call()
        except ClientError as error:
            if not may_pass(error):
                raise
        time.sleep(account.settings.poll_s)
    return call()
