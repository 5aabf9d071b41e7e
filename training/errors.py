"""Every fault that a person at the terminal can cause, told in one line without a traceback.

TrainingError
├── SettingsError       settings.toml, SM_HPS or an option holds a wrong value: names it
├── DataError           photos or their index are missing, damaged or contradict each other
│   └── DownloadError   an archive cannot be fetched, or is not what was promised
├── WeightsUnavailable  a backbone's ImageNet weights cannot be had: names the offline choices
├── CheckpointError     a checkpoint cannot be read, or belongs to another run
├── CloudError          AWS refuses, or what a command needs there is missing: says what to do
│   ├── JobFailed       a training, tuning or transform job ended without its result
│   └── FindingsError   `audit` found something to mend
├── LoadTestFailed      an endpoint answers nothing, or holds not even the lowest rate
└── Interrupted         SIGTERM or SIGINT came; a checkpoint was written
"""


class TrainingError(Exception):
    """The base of everything that `training` raises on purpose; `exit_code` ends the process."""

    exit_code = 1


class SettingsError(TrainingError):
    exit_code = 2


class DataError(TrainingError):
    pass


class DownloadError(DataError):
    pass


class WeightsUnavailable(TrainingError):
    pass


class CheckpointError(TrainingError):
    pass


class CloudError(TrainingError):
    pass


class JobFailed(CloudError):
    pass


class FindingsError(CloudError):
    pass


class LoadTestFailed(TrainingError):
    pass


class Interrupted(TrainingError):
    exit_code = 143  # 128 + SIGTERM, what a shell reports for a process that the signal ended
