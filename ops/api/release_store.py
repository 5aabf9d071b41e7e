"""Where releases of a stage are kept in S3: bundles, templates, and what is deployed now.

Everything lies in the project's bucket below `PREFIX/api/STAGE/`. A bundle or template is named
after its hash, so that the same release is stored once and never written over.
"""

import json
from typing import Any

from botocore.exceptions import ClientError

from aws.account import Account, is_missing
from aws.errors import AwsError

_STATE = "deployed.json"


class Shelf:
    """The objects of one stage. Every method raises `AwsError` where the bucket is missing."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._s3 = account.client("s3")
        self._prefix = f"{account.settings.prefix}/api/{stage}"

    def put(self, name: str, content: bytes) -> str:
        """Store `content` as `name` unless it is there, and return its key."""
        key = f"{self._prefix}/{name}"
        if not self._exists(key):
            self._s3.put_object(Bucket=self._account.bucket, Key=key, Body=content)
        return key

    def uri(self, key: str) -> str:
        """The S3 URI of `key`, as SAM wants it for the code."""
        return f"s3://{self._account.bucket}/{key}"

    def url(self, key: str) -> str:
        """The HTTPS address of `key`, as CloudFormation wants it for a template."""
        suffix = "amazonaws.com.cn" if self._account.partition == "aws-cn" else "amazonaws.com"
        return f"https://{self._account.bucket}.s3.{self._account.region}.{suffix}/{key}"

    def state(self) -> dict[str, Any]:
        """What was noted at the last deployment; empty before the first."""
        try:
            found = self._s3.get_object(Bucket=self._account.bucket, Key=f"{self._prefix}/{_STATE}")
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket" or not is_missing(error):
                raise
            return {}
        return dict(json.loads(found["Body"].read()))

    def note(self, state: dict[str, Any]) -> None:
        """Remember what is deployed now."""
        self._s3.put_object(
            Bucket=self._account.bucket,
            Key=f"{self._prefix}/{_STATE}",
            Body=json.dumps(state, indent=2).encode(),
        )

    def clear(self) -> int:
        """Remove everything of the stage; returns how many objects there were."""
        removed = 0
        pages = self._s3.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._account.bucket, Prefix=f"{self._prefix}/"):
            keys = [{"Key": one["Key"]} for one in page.get("Contents", [])]
            if keys:
                ended = self._s3.delete_objects(
                    Bucket=self._account.bucket, Delete={"Objects": keys, "Quiet": True}
                )
                if ended.get("Errors"):
                    first = ended["Errors"][0]
                    raise AwsError(f"{first['Key']} stays: {first.get('Message', 'no reason')}")
                removed += len(keys)
        return removed

    def _exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._account.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
        return True
