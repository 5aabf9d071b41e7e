"""Act as a role for a while, also in the processes that are started meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from aws.account import Account, is_denied, is_missing

_PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@contextmanager
def assumed_if_admitted(account: Account, role: str) -> Iterator[Account]:
    """Yield the account as `role` sees it, or `account` itself if the role does not admit us."""
    try:
        response = account.client("sts").assume_role(
            RoleArn=account.role_arn(role), RoleSessionName=account.settings.prefix
        )
    except ClientError as error:
        if not (is_denied(error) or is_missing(error)):
            raise
        yield account
        return
    credentials = response["Credentials"]
    before = dict(os.environ)
    for name in _PROFILE:
        os.environ.pop(name, None)
    os.environ["AWS_ACCESS_KEY_ID"] = credentials["AccessKeyId"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = credentials["SecretAccessKey"]
    os.environ["AWS_SESSION_TOKEN"] = credentials["SessionToken"]
    try:
        yield Account(account.settings.model_copy(update={"region": account.region}))
    finally:
        os.environ.clear()
        os.environ.update(before)
