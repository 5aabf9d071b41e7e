"""Describe SageMaker training jobs."""

from typing import Any

from aws.account import Account, or_none
from aws.errors import AwsError


def describe(account: Account, name: str) -> dict[str, Any]:
    """Return AWS's description of a training job. Raises AwsError if it does not exist."""
    job = find(account, name)
    if job is None:
        raise AwsError(f"Training job {name} does not exist: see `python -m training jobs`.")
    return job


def find(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of a training job, or None if it does not exist."""
    sagemaker = account.client("sagemaker")
    return or_none(lambda: sagemaker.describe_training_job(TrainingJobName=name))
