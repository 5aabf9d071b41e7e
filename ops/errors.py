"""Errors of `python -m ops` that are not AWS's own.

CommandError
├── FindingsError       `audit` has findings
└── LoadTestFailed      an endpoint answers nothing, or not even the lowest rate in time
"""

from cli.errors import CommandError


class FindingsError(CommandError):
    pass


class LoadTestFailed(CommandError):
    pass
