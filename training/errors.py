"""Errors of training, shown as one line without a traceback.

CommandError
├── SettingsError       see cli/errors.py
└── TrainingError       training cannot continue, for example because the loss is not finite
    ├── DataError           photos or their index are missing, damaged or inconsistent
    │   └── DownloadError   an archive cannot be downloaded or fails verification
    ├── WeightsUnavailable  a backbone's ImageNet weights are not installed
    ├── CheckpointError     a checkpoint is corrupt or belongs to another run
    └── Interrupted         SIGTERM stopped the run; a checkpoint was written
"""

from cli.errors import CommandError


class TrainingError(CommandError):
    pass


class DataError(TrainingError):
    pass


class DownloadError(DataError):
    pass


class WeightsUnavailable(TrainingError):
    pass


class CheckpointError(TrainingError):
    pass


class Interrupted(TrainingError):
    exit_code = 143  # 128 + SIGTERM, as a shell reports a process that the signal ended
