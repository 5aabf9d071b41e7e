"""Errors of `python -m ops` that are not AWS's own.

CommandError
├── FindingsError       `audit` has findings
├── LoadTestFailed      `loadtest` has no result: a single request or the first rate failed
├── NotReady            `doctor` found something that blocks a deployment
└── NotRemoved          `down` could not remove everything
"""

from cli.errors import CommandError


class FindingsError(CommandError):
    pass


class LoadTestFailed(CommandError):
    pass


class NotReady(CommandError):
    pass


class NotRemoved(CommandError):
    pass
