"""SageMaker training jobs, as AWS describes them."""

from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from aws.errors import AwsError


def describe(account: Account, name: str) -> dict[str, Any]:
    """The description of a training job. Raises `AwsError` where there is none of that name."""
    try:
        return dict(account.client("sagemaker").describe_training_job(TrainingJobName=name))
    except ClientError as error:
        if is_missing(error):
            raise AwsError(f"no training job {name}: see `python -m training jobs`") from None
        raise
