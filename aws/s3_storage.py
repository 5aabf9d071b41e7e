"""The bucket: how it is created, what may be read by others, and a folder copied into it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
from botocore.exceptions import ClientError
from tqdm import tqdm

from aws.account import Account, error_code
from aws.errors import AwsError

# Files below are sent in one piece; the ETag of such an object is the MD5 of its content.
_PART_BYTES = 64 * 1024 * 1024
_TRANSFER = TransferConfig(
    multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False
)
_FINGERPRINT = "sha256"  # metadata that says what an object holds where its ETag does not


@dataclass(frozen=True, slots=True)
class Change:
    """One file of a folder that its copy in S3 lacks, or holds in another version."""

    path: Path
    key: str
    size_bytes: int


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises `AwsError` for anything else."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise AwsError(f"{uri!r} is no S3 address; it looks like s3://bucket/prefix")
    return bucket, key


def create_bucket(account: Account) -> bool:
    """Create the bucket and shut it: no public access, encrypted, TLS only.

    Returns whether it is new; the shutting happens either way. Where shutting a new bucket fails,
    the bucket is removed again.
    """
    s3, bucket = account.client("s3"), account.bucket
    created = not exists(account)
    if created:
        place = {"LocationConstraint": account.region}
        # us-east-1 is the one region that must not be named (docs: CreateBucket).
        extra = {} if account.region == "us-east-1" else {"CreateBucketConfiguration": place}
        s3.create_bucket(Bucket=bucket, **extra)
    try:
        _shut(account)
    except BaseException:
        if created:
            s3.delete_bucket(Bucket=bucket)
        raise
    return created


def _shut(account: Account) -> None:
    s3, bucket = account.client("s3"), account.bucket
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
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        },
    )
    # An upload that was broken off is invisible, and billed, until somebody removes it.
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "broken-off-uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
    )
    put_statements(account, [tls_only(account)])


def exists(account: Account) -> bool:
    """Whether the bucket exists. Raises `AwsError` where it belongs to somebody else."""
    try:
        account.client("s3").head_bucket(Bucket=account.bucket)
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchBucket"):
            return False
        if error_code(error) in ("403", "301"):
            raise AwsError(
                f"bucket {account.bucket} exists but is not yours, or lies in another region: "
                "choose another name with --bucket or in settings.toml"
            ) from None
        raise
    return True


def tls_only(account: Account) -> dict[str, Any]:
    """The statement that refuses every call without TLS."""
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
    """The statements that let the account `reader` read what lies below `prefix`.

    `reader` is 12 digits. That account's administrator must allow it to its users as well: this
    is one half of access across accounts.
    """
    if not (len(reader) == 12 and reader.isdigit()):
        raise AwsError(f"{reader!r} is no account number: it has 12 digits")
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    principal = {"AWS": f"arn:{account.partition}:iam::{reader}:root"}
    return [
        {
            "Sid": f"Read{reader}",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:GetObject",
            "Resource": f"{bucket}/{prefix}/*",
        },
        {
            "Sid": f"List{reader}",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": f"{prefix}/*"}},
        },
    ]


def put_statements(account: Account, statements: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Set `statements` in the bucket's policy, each in place of the one of its Sid; the rest stays.

    Returns the whole policy.
    """
    s3 = account.client("s3")
    try:
        policy = json.loads(s3.get_bucket_policy(Bucket=account.bucket)["Policy"])
    except ClientError as error:
        if error_code(error) != "NoSuchBucketPolicy":
            raise
        policy = {"Version": "2012-10-17", "Statement": []}
    replaced = {statement["Sid"] for statement in statements}
    kept = [one for one in policy["Statement"] if one.get("Sid") not in replaced]
    policy["Statement"] = [*kept, *statements]
    s3.put_bucket_policy(Bucket=account.bucket, Policy=json.dumps(policy))
    return dict(policy)


def listing(account: Account, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """The objects below `prefix`: Key, Size, ETag and more."""
    pages = account.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def changes(account: Account, folder: Path, prefix: str) -> list[Change]:
    """The files below `folder` that are not, or not as they are, below `prefix` in the bucket.

    Compares sizes, then MD5 with the ETag; where the ETag is no MD5 (KMS keys, files sent in
    parts), the SHA-256 that the upload left in the object's metadata.
    """
    there = {item["Key"]: item for item in listing(account, account.bucket, prefix + "/")}
    found = []
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths = [path for path in paths if not _hidden(path.relative_to(folder))]
    for path in tqdm(paths, desc="compare", unit="file", leave=False, disable=None):
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        size = path.stat().st_size
        if key not in there or there[key]["Size"] != size or not _same(account, there[key], path):
            found.append(Change(path, key, size))
    return found


def send(account: Account, wanted: Sequence[Change], threads: int = 16) -> None:
    """Upload `wanted` side by side. What was sent when it breaks off need not be sent again."""
    s3 = account.client("s3")

    def put(change: Change) -> Change:
        extra = {"Metadata": {_FINGERPRINT: _digest(change.path, "sha256")}}
        s3.upload_file(
            str(change.path), account.bucket, change.key, ExtraArgs=extra, Config=_TRANSFER
        )
        return change

    total = sum(change.size_bytes for change in wanted)
    bar = tqdm(total=total, desc="upload", unit="B", unit_scale=True, leave=False, disable=None)
    with bar, ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(put, change) for change in wanted]
        try:
            for task in as_completed(tasks):
                bar.update(task.result().size_bytes)
        except BaseException:  # an error or Ctrl-C: what waits in the queue is not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def delete(account: Account, keys: Sequence[str]) -> None:
    """Delete objects of the bucket. Raises `AwsError` naming the first that stays."""
    for start in range(0, len(keys), 1000):  # DeleteObjects takes no more at once
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        answer = account.client("s3").delete_objects(
            Bucket=account.bucket, Delete={"Objects": batch, "Quiet": True}
        )
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise AwsError(f"s3://{account.bucket}/{first['Key']} stays: {first['Message']}")


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


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
