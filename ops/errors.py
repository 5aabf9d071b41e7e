"""Errors of `python -m ops` that are not AWS's own.

CommandError
├── FindingsError       `audit` has findings
└── LoadTestFailed      `loadtest` has no result: a single request or the first rate failed
"""

from cli.errors import CommandError


class FindingsError(CommandError):
    pass


class LoadTestFailed(CommandError):
    pass
