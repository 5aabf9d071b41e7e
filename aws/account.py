"""The AWS account of a command: clients, names, and AWS's errors as one line."""

import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from typing import Any

import boto3  # type: ignore[import-untyped]
from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, UnknownRegionError

from aws.errors import AwsError
from aws.settings import AwsSettings
from cli import settings
from cli.settings import Section

_DNS_SUFFIXES = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com"}
"""The supported partitions of AWS, and the domains of their services."""
NO_REGION = "No region: set AWS_DEFAULT_REGION, --region, or region in [aws] of settings.toml."

# For the first pattern that `CODE: message` of AWS, or `CLASS: message` of botocore, matches.
_ADVICE = {
    "^(No|Partial)Credentials": (
        "No AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE."
    ),
    "^NoRegionError": NO_REGION,
    "^ProfileNotFound": "{message}: see `aws configure list-profiles`.",
    "^(EndpointConnection|ConnectTimeout)": (
        "AWS cannot be reached: {message}. Check the network and the region."
    ),
    "^[^:]*(SSO|Token)[^:]*Error:": "The login has expired: run `aws sso login`.",
    "ServiceLinkedRole": (
        "{operation}: {message}. An administrator runs `aws iam create-service-linked-role "
        "--aws-service-name spot.amazonaws.com` once."
    ),
    "(?i)assume.*role|role.*assume": (
        "{operation}: {message}. `python -m ops policy --role NAME --apply` creates it."
    ),
    "^[^:]*(AccessDenied|Unauthorized|NotAuthorized)|^403:": (
        "{operation} is not allowed: {message}. `python -m ops policy --role deploy` prints the "
        "policy for operators, --role pipeline the one for API releases."
    ),
    "^[^:]*(Expired|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNot)": (
        "The credentials are invalid or have expired: {message}. Log in again."
    ),
    "^BucketAlready": "The bucket name is taken: choose another with --bucket or in settings.toml.",
    "^[^:]*(LimitExceeded|CountExceeded|Quota)": (
        "A quota of the account is exhausted: {message}. Raise it in Service Quotas."
    ),
    "^[^:]*(Throttl|TooManyRequests|SlowDown)": (
        "AWS throttles {operation}: wait a minute and run the same command again."
    ),
    "ResourceInUse|AlreadyExists|already exist": "{operation}: the name exists already: {message}.",
    "": "{operation}: {message}.",
}

# Commands poll for hours; a throttled call must not end them.
_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10)


class Account:
    """The caller's region, account number, boto3 clients and [aws] settings."""

    def __init__(self, settings: AwsSettings) -> None:
        self.settings = settings
        self._clients: dict[tuple[str, str], Any] = {}

    # On first use: some commands reach AWS only with certain options.
    @cached_property
    def session(self) -> Any:
        """The boto3 session. Raises AwsError without a region, or if it is not supported."""
        # The AWS CLI and Lambda read AWS_REGION, boto3 only AWS_DEFAULT_REGION.
        region = self.settings.region or os.environ.get("AWS_REGION")
        session = boto3.Session(region_name=region)
        if not session.region_name:
            raise AwsError(NO_REGION)
        try:
            partition = session.get_partition_for_region(session.region_name)
        except UnknownRegionError:
            raise AwsError(f"There is no region {session.region_name}.") from None
        if partition not in _DNS_SUFFIXES:
            raise AwsError(
                f"Region {session.region_name} is in the partition {partition}, which WhatBreed "
                f"does not support: choose a region of {' or '.join(_DNS_SUFFIXES)}."
            )
        # all clients of the session register it, those of the SageMaker SDK too
        session.events.register("provide-client-params.s3", self._expect_owner)
        return session

    def _expect_owner(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Let S3 refuse a call if someone else owns a bucket of our name.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
        """
        accepted = model.input_shape and "ExpectedBucketOwner" in model.input_shape.members
        if accepted and params.get("Bucket") == self.bucket:
            params.setdefault("ExpectedBucketOwner", self.id)

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    def client(self, service: str, region: str | None = None) -> Any:
        """Return the boto3 client of `service`, in `region` if given."""
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = self.session.client(service, region_name=key[1], config=_RETRIES)
        return self._clients[key]

    @cached_property
    def id(self) -> str:
        """The account's 12 digits, from STS."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> str:
        """`aws` or `aws-us-gov`."""
        return str(self.session.get_partition_for_region(self.region))

    @property
    def dns_suffix(self) -> str:
        """The domain of AWS's services in the region's partition."""
        return _DNS_SUFFIXES[self.partition]

    @property
    def bucket(self) -> str:
        """The bucket for data, jobs and models."""
        return self.settings.bucket or f"whatbreed-{self.id}-{self.region}"

    def uri(self, *parts: str) -> str:
        """Return the S3 URI of `parts` below the prefix: `s3://bucket/prefix/part/…`."""
        return "s3://" + "/".join([self.bucket, self.settings.prefix, *parts])

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in this region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"

    def role_arn(self, role: str) -> str:
        """Return the ARN of `role`, which is a name or already an ARN."""
        if role.startswith("arn:"):
            return role
        return f"arn:{self.partition}:iam::{self.id}:role/{role}"


def options(
    *sections: type[Section],
    without_options: Sequence[type[Section]] = (),
    merged: Sequence[type[Section]] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of [aws] and of `sections` to a command, which also receives `account`.

    See `cli.settings.options` for `without_options` and `merged`. Errors of boto3 become AwsError:
    this is the only place that translates them.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def wrapper(aws: AwsSettings, **arguments: Any) -> None:
            try:
                function(account=Account(aws), **arguments)
            except (BotoCoreError, ClientError, Boto3Error) as error:
                raise AwsError(explain(error)) from error

        return settings.options(
            *sections, AwsSettings, without_options=without_options, merged=merged
        )(wrapper)

    return decorate


def explain(error: Exception) -> str:
    """Return what went wrong and what to do next, in one line."""
    cause = _client_error(error)
    if cause is None:
        code, operation, details = type(error).__name__, "boto3", {"Message": str(error)}
    else:
        code, operation, details = error_code(cause), cause.operation_name, cause.response["Error"]
    if code == "NoSuchBucket":
        return missing_bucket(details.get("BucketName", "of settings.toml"))
    message = " ".join(details.get("Message", "").split())[:400].rstrip(".") or code
    text = f"{code}: {message}"
    advice = next(advice for pattern, advice in _ADVICE.items() if re.search(pattern, text))
    return advice.format(operation=operation, message=message)


def error_code(error: ClientError) -> str:
    """Return AWS's name of the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Return whether the error means that the resource does not exist.

    SageMaker has no code for that: it sends a ValidationException with "Could not find".
    """
    message = error.response.get("Error", {}).get("Message", "")
    return bool(
        re.search(r"NotFound|NoSuch|404|DoesNotExist", error_code(error))
        or re.search(r"[Cc]ould not find|does not exist|[Nn]ot found|No .* found", message)
    )


def is_denied(error: ClientError) -> bool:
    """Return whether the error means that the caller lacks a permission."""
    return bool(re.search(r"AccessDenied|Unauthorized|NotAuthorized|^403$", error_code(error)))


def or_none(call: Callable[[], Any]) -> dict[str, Any] | None:
    """Return the result of an AWS call, or None if the resource does not exist."""
    try:
        return dict(call())
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def missing_bucket(bucket: str) -> str:
    """Return the message about a bucket that does not exist."""
    return f"Bucket {bucket} does not exist: run `python -m training upload --create-bucket`."


def _client_error(error: BaseException | None) -> ClientError | None:
    """The ClientError in `error` or among its causes: boto3's transfers wrap theirs."""
    while error is not None:
        if isinstance(error, ClientError):
            return error
        error = error.__cause__ or error.__context__
    return None
