"""The releases of a stage in S3: bundles, templates, and a record of what is deployed.

All keys are below `PREFIX/api/STAGE/` in the project's bucket. Bundles and templates are named by
their SHA-256, so a release is stored once and never overwritten.
"""

import json
from typing import Any

from botocore.exceptions import ClientError

from aws import s3_storage
from aws.account import Account, error_code

_RECORD = "deployed.json"


class ReleaseStore:
    """The objects of one stage. Every method raises ClientError if the bucket does not exist."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._s3 = account.client("s3")
        self._prefix = f"{account.settings.prefix}/api/{stage}"

    def put(self, name: str, content: bytes) -> str:
        """Store `content` as `name` unless it exists, and return its key."""
        key = f"{self._prefix}/{name}"
        if not self._exists(key):
            self._s3.put_object(Bucket=self._account.bucket, Key=key, Body=content)
        return key

    def uri(self, key: str) -> str:
        """Return the S3 URI of `key`, which SAM requires for code."""
        return f"s3://{self._account.bucket}/{key}"

    def url(self, key: str) -> str:
        """Return the HTTPS URL of `key`, which CloudFormation requires for templates."""
        account = self._account
        return f"https://{account.bucket}.s3.{account.region}.{account.dns_suffix}/{key}"

    def read_record(self) -> dict[str, Any]:
        """Return what the last deployment recorded; empty before the first."""
        try:
            response = self._s3.get_object(
                Bucket=self._account.bucket, Key=f"{self._prefix}/{_RECORD}"
            )
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return {}
        return dict(json.loads(response["Body"].read()))

    def write_record(self, record: dict[str, Any]) -> None:
        """Record what is deployed now."""
        self._s3.put_object(
            Bucket=self._account.bucket,
            Key=f"{self._prefix}/{_RECORD}",
            Body=json.dumps(record, indent=2).encode(),
        )

    def clear(self) -> None:
        """Delete all objects of the stage. Raise AwsError if one cannot be deleted."""
        objects = s3_storage.listing(self._account, self._account.bucket, f"{self._prefix}/")
        s3_storage.delete(self._account, [item["Key"] for item in objects])

    def _exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._account.bucket, Key=key)
        except ClientError as error:
            if error_code(error) not in ("404", "NoSuchKey"):
                raise
            return False
        return True
