"""Names and tags that AWS accepts, for settings that are checked before AWS is called."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

ROLE_NAME = r"[\w+=,.@-]{1,64}"
"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html"""
ROLE = rf"^({ROLE_NAME}|arn:aws[a-z-]*:iam::\d{{12}}:role/[\w+=,.@/-]+)$"
"""A role's name or ARN."""
KEY = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+)?$"
"""A key's ARN: in a policy, IAM does not accept an alias. Empty for no key."""
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"^{_PART}(/{_PART})*$"
"""https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html"""

RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
]  # fmt: skip
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""

_TAG = r"^[\p{L}\p{Z}\p{N}_.:/=+@-]*$"  # pydantic compiles patterns in Rust


def _check_bucket(name: str) -> str:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    reserved = name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")
    )
    well_formed = re.fullmatch(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name)
    if name and (not well_formed or reserved or _is_ip(name)):
        raise ValueError(
            f'"{name}" is not a bucket name: use 3 to 63 lower-case letters, digits and hyphens'
        )
    return name


def _check_tag_key(key: str) -> str:
    if key.lower().startswith("aws:"):
        raise ValueError(f'the tag "{key}" is reserved: a key must not start with aws:')
    return key


def _check_base_image(name: str) -> str:
    host, slash, _ = name.partition("/")
    named = slash and (set(host) & {".", ":"} or host == "localhost")
    if name and (not named or host.endswith("docker.io")):
        raise ValueError(
            f'"{name}" is pulled from Docker Hub, which limits anonymous pulls: take the same '
            "image from public.ecr.aws/docker/library"
        )
    return name


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


Bucket = Annotated[str, AfterValidator(_check_bucket)]
"""A bucket's name, or an empty string."""
BaseImage = Annotated[str, AfterValidator(_check_base_image)]
"""An image with its registry, which is not Docker Hub, or an empty string."""
TagKey = Annotated[
    str, Field(min_length=1, max_length=128, pattern=_TAG), AfterValidator(_check_tag_key)
]
TagValue = Annotated[str, Field(max_length=256, pattern=_TAG)]
Tags = dict[TagKey, TagValue]
"""https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""
