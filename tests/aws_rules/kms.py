"""Keys in KMS, and what the services that use them require."""

import json
import re
from collections.abc import Iterator
from typing import Any

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from tests.aws_rules.rules import Refused, Request, rule

_STATES = "https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"
_POLICIES = "https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html"
_BUCKETS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"


@rule(
    "sagemaker",
    "CreateTrainingJob",
    "CreateTransformJob",
    "CreateHyperParameterTuningJob",
    "CreateEndpointConfig",
    source=_STATES,
)
def sagemaker_can_use_the_key(request: Request) -> None:
    """The keys of a job or endpoint exist, are enabled and symmetric."""
    for key in set(_key_names(request.parameters)):
        if problem := _problem(request, key):
            raise Refused("ValidationException", f"KMS key {key} {problem}")


@rule("s3", "PutBucketEncryption", source=_BUCKETS)
def buckets_are_encrypted_with_a_key_arn(request: Request) -> None:
    """A bucket's key is in its region. Other accounts can use it only if it is an ARN."""
    configuration = request.parameters.get("ServerSideEncryptionConfiguration") or {}
    for each in configuration.get("Rules") or []:
        default = each.get("ApplyServerSideEncryptionByDefault") or {}
        key = default.get("KMSMasterKeyID")
        if key and key.startswith("arn:") and key.split(":")[3] != request.region:
            raise Refused(
                "KMS.NotFoundException", f"Key {key} is in another region than the bucket"
            )


@rule("s3", "PutObject", "GetObject", "CreateMultipartUpload", source=_BUCKETS)
def objects_need_an_enabled_key(request: Request) -> None:
    """Objects of a bucket that is encrypted with a disabled key cannot be read or written."""
    name = request.parameters["Bucket"]
    _, owner = s3_backends.bucket_accounts.get(name, ("aws", request.account))
    bucket = s3_backends[owner]["aws"].buckets.get(name)
    for key in set(_key_names(bucket.encryption if bucket else None)):
        if problem := _problem(request, key):
            raise Refused("KMS.DisabledException", f"{key} {problem}")


@rule("kms", "PutKeyPolicy", "CreateKey", source=_POLICIES)
def key_policies_keep_an_administrator(request: Request) -> None:
    """A policy has 1 to 32 KB and leaves someone in the account who may change it."""
    text = request.parameters.get("Policy")
    if text is None or request.parameters.get("BypassPolicyLockoutSafetyCheck"):
        return
    if len(text) > 32_768:
        raise Refused("LimitExceededException", "The key policy exceeds 32 KB")
    for statement in json.loads(text)["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        principal = json.dumps(statement.get("Principal"))
        may = {"kms:*", "kms:PutKeyPolicy", "kms:Put*"} & set(actions)
        if statement["Effect"] == "Allow" and request.account in principal and may:
            return
    raise Refused(
        "MalformedPolicyDocumentException",
        "The new key policy will not allow you to update the key policy in the future.",
    )


def _key_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name in ("KmsKeyId", "VolumeKmsKeyId", "KMSMasterKeyID") and item:
                yield item
            else:
                yield from _key_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _key_names(item)


def _problem(request: Request, name: str) -> str:
    match = re.fullmatch(r"arn:aws[\w-]*:kms:([^:]+):(\d{12}):(key|alias)/(.+)", name)
    if match is None or match[3] == "alias":
        return ""  # names and aliases are resolved in the caller's account
    region, account, key_id = match[1], match[2], match[4]
    if region != request.region:
        return f"is in {region}, not in {request.region}"
    keys = kms_backends[account][region].keys
    if key_id not in keys:
        return "does not exist"
    key = keys[key_id]
    if key.key_state != "Enabled":
        return f"is {key.key_state}"
    return "" if key.key_spec == "SYMMETRIC_DEFAULT" else "is not symmetric"
