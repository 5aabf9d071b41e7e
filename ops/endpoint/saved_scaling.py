"""The autoscaling of an endpoint, saved in S3 while AWS requires that it has none."""

import json
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing

FOLDER = "scaling"
"""The folder below the prefix in the bucket."""


def save(account: Account, endpoint: str, state: dict[str, Any]) -> None:
    """Save limits, policies and schedules, as `scaling.state` returns them."""
    body = json.dumps(state, default=str).encode()
    account.client("s3").put_object(Bucket=account.bucket, Key=_key(account, endpoint), Body=body)


def read(account: Account, endpoint: str) -> dict[str, Any] | None:
    """Return what was saved, or None."""
    try:
        response = account.client("s3").get_object(
            Bucket=account.bucket, Key=_key(account, endpoint)
        )
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return dict(json.loads(response["Body"].read()))


def forget(account: Account, endpoint: str) -> None:
    """Delete what was saved, if anything was."""
    if read(account, endpoint) is not None:
        account.client("s3").delete_object(Bucket=account.bucket, Key=_key(account, endpoint))


def _key(account: Account, endpoint: str) -> str:
    return f"{account.settings.prefix}/{FOLDER}/{endpoint}.json"
