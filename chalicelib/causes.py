"""The `cause` of a problem for the log: types, codes and places of exceptions, never messages.

A message can contain what a client or an image's host sent: URLs, host names, header lines.
"""

import errno
import ssl
import traceback
from collections.abc import Iterator

MAX_CHARACTERS = 500
_MAX_EXCEPTIONS = 5


def cause_of(error: BaseException) -> str:
    """Return the types and codes of `error` and of the exceptions that led to it."""
    return " < ".join(map(_type_and_codes, _chain(error)))[:MAX_CHARACTERS]


def cause_with_location(error: BaseException) -> str:
    """Return `cause_of(error)` and the lines of code that raised it, innermost first."""
    frames = [
        f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[-2:])}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return f"{cause_of(error)} at {', '.join(reversed(frames))}"[:MAX_CHARACTERS]


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_MAX_EXCEPTIONS):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _type_and_codes(error: BaseException) -> str:
    codes: list[object] = []
    if isinstance(error, ssl.SSLError):
        # OpenSSL's constants
        codes = [getattr(error, name, None) for name in ("reason", "verify_code")]
    elif isinstance(error, OSError):
        codes = [errno.errorcode.get(error.errno or 0)]
    return " ".join([type(error).__name__, *(str(code) for code in codes if code)])
