"""What S3 refuses when a bucket is created, configured or emptied."""

import json
from typing import Any

from moto.s3.models import s3_backends

from tests.aws_rules.rules import Refused, Request, rule

API = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_"
GUIDE = "https://docs.aws.amazon.com/AmazonS3/latest/userguide"
_ACTIONS = {
    "Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions",
    "AbortIncompleteMultipartUpload",
}  # fmt: skip


@rule("s3", "CreateBucket", source=f"{API}CreateBucket.html")
def location_is_the_region(request: Request) -> None:
    """LocationConstraint is the region of the endpoint, and absent in us-east-1."""
    configuration = request.parameters.get("CreateBucketConfiguration") or {}
    location = configuration.get("LocationConstraint") or "us-east-1"
    if request.region == "us-east-1" and "LocationConstraint" in configuration:
        if location == "us-east-1":
            raise Refused("InvalidLocationConstraint", "The location-constraint is not valid")
    elif location != request.region:
        raise Refused(
            "IllegalLocationConstraintException",
            f"The {location} location constraint is incompatible for the region specific endpoint",
        )


@rule("s3", "DeleteBucket", source=f"{GUIDE}/delete-bucket.html")
def a_bucket_is_empty(request: Request) -> None:
    """A bucket is deleted after all versions of its objects; its name is free some time later."""
    backend: Any = s3_backends[request.account]["aws"]
    bucket = backend.buckets.get(request.parameters["Bucket"])
    if bucket is None:
        return
    if bucket.keys:
        raise Refused("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
    deleted: set[str] = getattr(backend, "just_deleted", set())
    backend.just_deleted = deleted | {bucket.name}


@rule("s3", "CreateBucket", source=f"{GUIDE}/delete-bucket.html")
def names_take_time_to_be_free(request: Request) -> None:
    """The first attempt to create a bucket that was just deleted is refused."""
    backend: Any = s3_backends[request.account]["aws"]
    deleted: set[str] = getattr(backend, "just_deleted", set())
    if request.parameters["Bucket"] in deleted:
        backend.just_deleted = deleted - {request.parameters["Bucket"]}
        raise Refused(
            "OperationAborted",
            "A conflicting conditional operation is currently in progress against this resource. "
            "Please try again.",
            409,
        )


@rule(
    "s3",
    "PutBucketLifecycleConfiguration",
    source=f"{API}PutBucketLifecycleConfiguration.html",
)
def lifecycle_rules_are_valid(request: Request) -> None:
    """Up to 1,000 rules; each has a filter, an action with days above 0, and an ID of its own."""
    rules = (request.parameters.get("LifecycleConfiguration") or {}).get("Rules") or []
    ids = [each["ID"] for each in rules if each.get("ID")]
    if not 1 <= len(rules) <= 1_000 or len(set(ids)) < len(ids):
        raise Refused("InvalidArgument", "Rule ID must be unique, and there are 1 to 1000 rules")
    for each in rules:
        if len(each.get("ID") or "") > 255 or each.get("Status") not in ("Enabled", "Disabled"):
            raise Refused("MalformedXML", "The XML you provided was not well-formed")
        if ("Filter" in each) == ("Prefix" in each) or not _ACTIONS & set(each):
            raise Refused("MalformedXML", "A rule has a filter and at least one action")
        abort = each.get("AbortIncompleteMultipartUpload") or {"DaysAfterInitiation": 1}
        if int(abort["DaysAfterInitiation"]) < 1:
            raise Refused("InvalidArgument", "Days must be a positive integer")


@rule("s3", "DeleteObjects", source=f"{API}DeleteObjects.html")
def a_thousand_objects(request: Request) -> None:
    """One call deletes 1 to 1,000 objects."""
    objects = (request.parameters.get("Delete") or {}).get("Objects") or []
    if not 1 <= len(objects) <= 1_000:
        raise Refused("MalformedXML", "The XML you provided was not well-formed")


@rule("s3", "PutBucketEncryption", source=f"{API}ServerSideEncryptionByDefault.html")
def keys_are_for_kms(request: Request) -> None:
    """A key is named only with aws:kms or aws:kms:dsse."""
    configuration = request.parameters.get("ServerSideEncryptionConfiguration") or {}
    for each in configuration.get("Rules") or []:
        default = each.get("ApplyServerSideEncryptionByDefault") or {}
        algorithm = default.get("SSEAlgorithm")
        if algorithm not in ("AES256", "aws:kms", "aws:kms:dsse"):
            raise Refused("MalformedXML", "The XML you provided was not well-formed")
        if default.get("KMSMasterKeyID") and algorithm == "AES256":
            raise Refused("InvalidArgument", "a KMSMasterKeyID is not applicable to AES256")


@rule("s3", "PutBucketPolicy", source=f"{GUIDE}/access-policy-language-overview.html")
def policies_are_of_the_bucket(request: Request) -> None:
    """Statements name a principal, and resources in the bucket."""
    for statement in _statements(request):
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise Refused("MalformedPolicy", "Missing required field Principal")
        for resource in _list(statement.get("Resource", [])):
            bucket = resource.partition(":::")[2].partition("/")[0]
            if bucket != request.parameters["Bucket"]:
                raise Refused("MalformedPolicy", "Policy has invalid resource")


@rule("s3", "PutBucketPolicy", source=f"{GUIDE}/access-control-block-public-access.html")
def policies_are_not_public(request: Request) -> None:
    """With BlockPublicPolicy, no statement allows everyone without a condition."""
    bucket: Any = s3_backends[request.account]["aws"].buckets.get(request.parameters["Bucket"])
    block = getattr(bucket, "public_access_block", None)
    blocked = block is not None and str(block.block_public_policy).lower() == "true"
    for statement in _statements(request):
        everyone = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
        if blocked and everyone and statement["Effect"] == "Allow" and "Condition" not in statement:
            raise Refused("AccessDenied", "public policies are blocked", 403)


def _statements(request: Request) -> list[dict[str, Any]]:
    text = request.parameters["Policy"]
    return list(json.loads(text.decode() if isinstance(text, bytes) else text)["Statement"])


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
