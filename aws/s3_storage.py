"""The S3 bucket: create and secure it, share it, copy a folder into it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from tqdm import tqdm

from aws.account import Account, error_code, missing_bucket, or_none
from aws.errors import AwsError
from aws.policy_statements import account_root, allow
from aws.polling import retry

# The ETag of an object uploaded in one part is the MD5 of its content.
_PART_BYTES = 64 * 1024 * 1024
_TRANSFER = TransferConfig(
    multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False
)
_FINGERPRINT = "sha256"  # object metadata, compared if the ETag is not an MD5


def split_uri(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key. Raises AwsError for anything else."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise AwsError(f'"{uri}" is not an S3 URI such as s3://bucket/prefix.')
    return bucket, key


def create_bucket(account: Account) -> bool:
    """Create the bucket if it is missing, and secure it: private, encrypted, TLS only.

    Returns whether it is new. If securing a new bucket fails, it is deleted again.
    """
    if exists(account):
        _secure(account)
        return False
    s3, bucket = account.client("s3"), account.bucket
    location = {"LocationConstraint": account.region}
    # CreateBucket refuses us-east-1 as a location: it is the default.
    extra = {} if account.region == "us-east-1" else {"CreateBucketConfiguration": location}
    # The name of a bucket that was deleted a moment ago is not free yet.
    retry(
        account,
        lambda: s3.create_bucket(Bucket=bucket, **extra),
        lambda error: error_code(error) == "OperationAborted",
    )
    try:
        _secure(account)
    except BaseException:
        s3.delete_bucket(Bucket=bucket)
        raise
    return True


def _secure(account: Account) -> None:
    s3, bucket = account.client("s3"), account.bucket
    # Once public policies are blocked, S3 also refuses to keep a public statement of the old one.
    put_statements(account, [tls_only(account)])
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    kms = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": account.settings.kms_key}
    default = kms if account.settings.kms_key else {"SSEAlgorithm": "AES256"}
    encryption = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [encryption]}
    )
    # Parts of an interrupted upload are invisible, but billed until they are removed.
    abort = {
        "ID": "abort-interrupted-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    # S3 replaces the whole configuration, and a bucket of the user may have rules of its own.
    lifecycle = or_none(lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket)) or {}
    others = [rule for rule in lifecycle.get("Rules", []) if rule.get("ID") != abort["ID"]]
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [*others, abort]}
    )


def exists(account: Account) -> bool:
    """Return whether the bucket exists.

    Raises AwsError if it belongs to another account or is in another region.
    """
    try:
        head = account.client("s3").head_bucket(Bucket=account.bucket)
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            return False
        if error_code(error) in ("403", "301", "AccessDenied"):
            raise AwsError(
                f"Bucket {account.bucket} belongs to another account or is in another region: "
                "choose another name with --bucket or in settings.toml."
            ) from None
        raise
    region = head.get("BucketRegion", account.region)  # botocore follows S3's redirect to it
    if region != account.region:
        raise AwsError(
            f"Bucket {account.bucket} is in {region}, not in {account.region}, and jobs read only "
            f"buckets of their region: use --region {region} or another bucket."
        )
    return True


def require(account: Account) -> None:
    """Raise AwsError if the bucket does not exist."""
    if not exists(account):
        raise AwsError(missing_bucket(account.bucket))


def tls_only(account: Account) -> dict[str, Any]:
    """Return the policy statement that refuses every call without TLS."""
    arn = f"arn:{account.partition}:s3:::{account.bucket}"
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def read_by(account: Account, reader: str, prefix: str) -> list[dict[str, Any]]:
    """Return the statements that let the account `reader` read all objects below `prefix`.

    Access across accounts needs both sides: the reader's administrator must allow it, too.
    """
    if not (len(reader) == 12 and reader.isdigit()):
        raise AwsError(f'"{reader}" is not an account number of 12 digits.')
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    # SageMaker lists the prefix as it is given, without a slash at the end
    below = {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}}
    principal = account_root(account, reader)
    return [
        principal | allow(f"Read{reader}", "s3:GetObject", f"{bucket}/{prefix}/*"),
        principal | allow(f"List{reader}", "s3:ListBucket", bucket, below),
    ]


def put_statements(account: Account, statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add `statements` to the bucket's policy, replacing those of the same Sid; return it."""
    s3 = account.client("s3")
    response = or_none(lambda: s3.get_bucket_policy(Bucket=account.bucket))
    text = response["Policy"] if response else '{"Version": "2012-10-17", "Statement": []}'
    policy: dict[str, Any] = json.loads(text)
    current = policy["Statement"]
    if all(statement in current for statement in statements):
        return policy
    replaced = {statement["Sid"] for statement in statements}
    kept = [statement for statement in current if statement.get("Sid") not in replaced]
    policy["Statement"] = [*kept, *statements]
    s3.put_bucket_policy(Bucket=account.bucket, Policy=json.dumps(policy))
    return policy


def listing(account: Account, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """List the objects below `prefix`, as ListObjectsV2 describes them."""
    pages = account.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def object_exists(account: Account, uri: str) -> bool:
    """Return whether there is an object at an S3 URI."""
    bucket, key = split_uri(uri)
    return or_none(lambda: account.client("s3").head_object(Bucket=bucket, Key=key)) is not None


def read(account: Account, uri: str) -> bytes | None:
    """Return the content of an object, or None if it does not exist."""
    bucket, key = split_uri(uri)
    response = or_none(lambda: account.client("s3").get_object(Bucket=bucket, Key=key))
    return None if response is None else bytes(response["Body"].read())


def changes(account: Account, folder: Path, prefix: str) -> dict[str, Path]:
    """Return the files below `folder`, by key, that are missing below `prefix` or differ.

    Compares sizes, then the MD5 with the ETag. If the ETag is not an MD5 (KMS keys, multipart
    uploads), compares the SHA-256 that `send` wrote to the object's metadata.
    """
    remote = {item["Key"]: item for item in listing(account, account.bucket, prefix + "/")}
    changed = {}
    for path in tqdm(sorted(folder.rglob("*")), "compare", unit="file", leave=False, disable=None):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        key = f"{prefix}/{relative.as_posix()}"
        item = remote.get(key)
        if item is None or item["Size"] != path.stat().st_size or not _same(account, item, path):
            changed[key] = path
    return changed


def send(account: Account, changed: Mapping[str, Path], threads: int = 16) -> None:
    """Upload files in parallel. After an interruption, `changes` returns only the rest."""
    s3 = account.client("s3")

    def put(key: str, path: Path) -> int:
        extra = {"Metadata": {_FINGERPRINT: _digest(path, "sha256")}}
        s3.upload_file(str(path), account.bucket, key, ExtraArgs=extra, Config=_TRANSFER)
        return path.stat().st_size

    total = sum(path.stat().st_size for path in changed.values())
    bar = tqdm(total=total, desc="upload", unit="B", unit_scale=True, leave=False, disable=None)
    with bar, ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(put, key, path) for key, path in changed.items()]
        try:
            for task in as_completed(tasks):
                bar.update(task.result())
        except BaseException:  # an error or Ctrl-C: do not start queued uploads
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def delete(account: Account, keys: Sequence[str]) -> None:
    """Delete objects of the bucket. Raises AwsError naming the first that could not be deleted."""
    for start in range(0, len(keys), 1000):  # the limit of DeleteObjects
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        response = account.client("s3").delete_objects(
            Bucket=account.bucket, Delete={"Objects": batch, "Quiet": True}
        )
        for error in response.get("Errors", []):
            uri = f"s3://{account.bucket}/{error['Key']}"
            raise AwsError(f"{uri} could not be deleted: {error['Message']}")


def _same(account: Account, item: dict[str, Any], path: Path) -> bool:
    if item["ETag"].strip('"') == _digest(path, "md5"):
        return True
    head = account.client("s3").head_object(Bucket=account.bucket, Key=item["Key"])
    return bool(head["Metadata"].get(_FINGERPRINT) == _digest(path, "sha256"))


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
