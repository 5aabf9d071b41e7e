"""Exceptions that end a command with one line on stderr instead of a traceback.

CommandError
└── SettingsError   a setting, an option or .chalice/config.json has a wrong value or an unknown key

`aws`, `training` and `ops` derive theirs from CommandError in their own `errors.py`.
"""


class CommandError(Exception):
    """Base of all errors a user can cause. `exit_code` becomes the exit code of the process."""

    exit_code = 1


class SettingsError(CommandError):
    exit_code = 2
