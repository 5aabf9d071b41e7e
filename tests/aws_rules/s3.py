"""Buckets and objects in S3."""

import ipaddress
import json
import re

from moto.s3.models import s3_backends

from tests.aws_rules.rules import Refused, Request, rule

_NAMES = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"
_OWNER = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"
_POLICY = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html"
_KEYS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"
_METADATA = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html"
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")
OWNED = (
    "HeadBucket", "GetBucketLocation", "ListObjectsV2", "ListObjects", "GetObject", "HeadObject",
    "PutObject", "DeleteObject", "DeleteObjects", "CopyObject", "CreateMultipartUpload",
    "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "GetBucketPolicy",
    "PutBucketPolicy", "PutBucketEncryption", "PutPublicAccessBlock", "DeleteBucket",
    "PutBucketLifecycleConfiguration",
)  # fmt: skip


@rule("s3", "CreateBucket", source=_NAMES)
def names_follow_the_rules(request: Request) -> None:
    """3 to 63 lower-case letters, digits, dots and hyphens; no IP address, no reserved affixes."""
    name = request.parameters["Bucket"]
    well_formed = re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) and ".." not in name
    if not well_formed or _is_ip(name) or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES):
        raise Refused("InvalidBucketName", "The specified bucket is not valid.")


@rule("s3", *OWNED, source=_OWNER)
def owner_is_the_expected_one(request: Request) -> None:
    """A call with ExpectedBucketOwner fails with 403 if another account owns the bucket."""
    expected = request.headers.get("x-amz-expected-bucket-owner")
    owner = s3_backends.bucket_accounts.get(request.parameters["Bucket"])
    if expected and owner and owner[1] != expected:
        raise Refused("AccessDenied", "Access Denied", 403)


@rule("s3", "PutObject", "CreateMultipartUpload", source=_KEYS)
def keys_are_short(request: Request) -> None:
    """A key has at most 1,024 bytes in UTF-8."""
    if len(str(request.parameters.get("Key") or "").encode()) > 1024:
        raise Refused("KeyTooLongError", "Your key is too long")


@rule("s3", "PutObject", "CreateMultipartUpload", source=_METADATA)
def metadata_is_small(request: Request) -> None:
    """Metadata of an object has at most 2 KB."""
    sizes = (
        len(name.removeprefix("x-amz-meta-")) + len(value)
        for name, value in request.headers.items()
        if name.startswith("x-amz-meta-")
    )
    if sum(sizes) > 2048:
        raise Refused("MetadataTooLarge", "Your metadata headers exceed the maximum size")


@rule("s3", "PutBucketPolicy", source=_POLICY)
def policies_are_small(request: Request) -> None:
    """A bucket policy has at most 20 KB, and Sids that differ."""
    text = request.parameters["Policy"]
    text = text.decode() if isinstance(text, bytes) else text
    sids = [each["Sid"] for each in json.loads(text)["Statement"] if "Sid" in each]
    if len(text) > 20_480:
        raise Refused("PolicyTooLarge", "Policy exceeds the maximum allowed document size.")
    if len(set(sids)) < len(sids):
        raise Refused("MalformedPolicy", "Statement IDs (SID) in a single policy must be unique.")


def _is_ip(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
