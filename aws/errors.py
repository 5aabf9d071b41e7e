"""Errors of everything that calls AWS.

CommandError
└── AwsError            AWS refused a call, or a resource that a command needs is missing
    └── JobFailed       a training, tuning, transform or build job failed or was stopped
"""

from cli.errors import CommandError


class AwsError(CommandError):
    pass


class JobFailed(AwsError):
    pass
