"""The values of [train] that a job is started with."""

import json
from collections.abc import Mapping
from typing import Any

from aws.account import Account, or_none
from aws.errors import AwsError
from cli import settings as cli_settings
from training.settings import TrainSettings


def changed(train: TrainSettings) -> dict[str, Any]:
    """Return the values that differ from settings.toml, which the job carries, by option name."""
    default = TrainSettings.read()
    return {
        field.replace("_", "-"): value for field, value in train if value != getattr(default, field)
    }


def with_values(train: TrainSettings, values: Mapping[str, Any]) -> TrainSettings:
    """Return `train` with `values` by option name, except for settings that options give."""
    chosen = {name.replace("-", "_"): value for name, value in values.items()}
    return TrainSettings.read(train.model_dump() | chosen | cli_settings.given(TrainSettings))


def best_of(account: Account, tuning_job: str) -> dict[str, Any]:
    """Return the values of a tuning job's best training job, by option name.

    Raises AwsError if there is no such tuning job, or none of its training jobs has completed.
    """
    best = describe_tuning_job(account, tuning_job).get("BestTrainingJob") or {}
    if not best.get("TunedHyperParameters"):
        raise AwsError(f"{tuning_job} has no best job yet: wait until one of its jobs completes.")
    return {
        key: _value(text)
        for key, text in best["TunedHyperParameters"].items()
        if not key.startswith(("sagemaker_", "_tuning"))
    }


MAX_TUNING_NAME = 32
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html"""


def describe_tuning_job(account: Account, name: str) -> dict[str, Any]:
    """Return AWS's description of a tuning job. Raises AwsError if it does not exist."""
    describe = account.client("sagemaker").describe_hyper_parameter_tuning_job
    job = or_none(lambda: describe(HyperParameterTuningJobName=name))
    if job is None:
        raise AwsError(f"Tuning job {name} does not exist: see the SageMaker console.")
    return job


def _value(text: str) -> Any:
    """Decode a hyperparameter. SageMaker quotes the texts of a categorical range once more."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _value(value) if isinstance(value, str) and value != text else value
