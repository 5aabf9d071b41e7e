"""The bundles and templates of a stage in S3, below `PREFIX/api/STAGE/` in the project's bucket.

Each object is named by its SHA-256 and written once. Whatever is read is compared with its name, so
that no object of another origin is released.
"""

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from aws import s3_storage
from aws.account import Account, error_code
from aws.errors import AwsError

BUNDLE = "bundles/{}.zip"
TEMPLATE = "templates/{}.json"


class ReleaseStore:
    """The objects of one stage. Every method raises ClientError if the bucket does not exist."""

    def __init__(self, account: Account, stage: str) -> None:
        self._account = account
        self._s3 = account.client("s3")
        self._prefix = f"{account.settings.prefix}/api/{stage}"

    def put(self, name: str, content: bytes) -> str:
        """Store `content` unless it exists, and return its SHA-256 after reading it back.

        `name` is BUNDLE or TEMPLATE. Raises AwsError if another content has the name.
        """
        digest = hashlib.sha256(content).hexdigest()
        try:
            self._s3.put_object(**self._object(name, digest), Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error_code(error) != "PreconditionFailed":
                raise
        self.read(name, digest)
        return digest

    def read(self, name: str, digest: str) -> bytes:
        """Return an object. Raise AwsError if it is missing or its SHA-256 is not `digest`."""
        try:
            content = self._s3.get_object(**self._object(name, digest))["Body"].read()
        except ClientError as error:
            # S3 answers AccessDenied for a missing object to callers that may not list the bucket.
            if error_code(error) not in ("NoSuchKey", "AccessDenied"):
                raise
            raise AwsError(f"{self.uri(name, digest)} does not exist.") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise AwsError(
                f"{self.uri(name, digest)} does not have the SHA-256 in its name: it has been "
                "changed. Find out by whom, delete it and release again."
            )
        return bytes(content)

    def uri(self, name: str, digest: str) -> str:
        """Return the S3 URI of an object, which SAM requires for code."""
        return f"s3://{self._account.bucket}/{self._prefix}/{name.format(digest)}"

    def url(self, name: str, digest: str) -> str:
        """Return the HTTPS URL of an object, which CloudFormation requires for templates."""
        account = self._account
        host = f"{account.bucket}.s3.{account.region}.{account.dns_suffix}"
        return f"https://{host}/{self._prefix}/{name.format(digest)}"

    def clear(self) -> None:
        """Delete all objects of the stage. Raise AwsError if one cannot be deleted."""
        objects = s3_storage.listing(self._account, self._account.bucket, f"{self._prefix}/")
        s3_storage.delete(self._account, [item["Key"] for item in objects])

    def _object(self, name: str, digest: str) -> dict[str, Any]:
        return {
            "Bucket": self._account.bucket,
            "Key": f"{self._prefix}/{name.format(digest)}",
            "ExpectedBucketOwner": self._account.id,
        }
