"""The AWS account that a command works in: clients, names, and refusals told in one line."""

import os
import re
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from typing import Any

import boto3  # type: ignore[import-untyped]
from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from aws.errors import AwsError
from aws.settings import AwsSettings
from cli import settings
from cli.settings import Section

NO_REGION = "no region: set AWS_DEFAULT_REGION, name --region, or region in settings.toml"

# Commands wait and poll for hours: a throttled call must not end them.
_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10)


class Account:
    """The caller's region, account number, boto3 clients and [aws] settings."""

    def __init__(self, settings: AwsSettings) -> None:
        self.settings = settings
        self._clients: dict[tuple[str, str], Any] = {}

    # On first use: some commands reach AWS only with certain options.
    @cached_property
    def session(self) -> Any:
        """The boto3 session. Raises AwsError if no region is set."""
        # The AWS CLI and Lambda go by AWS_REGION; boto3 alone only knows AWS_DEFAULT_REGION.
        region = self.settings.region or os.environ.get("AWS_REGION")
        session = boto3.Session(region_name=region)
        if not session.region_name:
            raise AwsError(NO_REGION)
        return session

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    def client(self, service: str, region: str | None = None) -> Any:
        """The boto3 client of `service`, in another `region` if one is named."""
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = self.session.client(service, region_name=key[1], config=_RETRIES)
        return self._clients[key]

    @cached_property
    def id(self) -> str:
        """The account's 12 digits, asked of STS once."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`, by the region."""
        return str(self.session.get_partition_for_region(self.region))

    @property
    def bucket(self) -> str:
        """The bucket of data, jobs and models."""
        return self.settings.bucket or f"whatbreed-{self.id}-{self.region}"

    def uri(self, *parts: str) -> str:
        """The S3 URI of `parts` below the prefix: `s3://bucket/prefix/part/…`."""
        return "s3://" + "/".join([self.bucket, self.settings.prefix, *parts])

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.id}:{resource}"

    def role_arn(self, role: str) -> str:
        """`role` if it is an ARN already, else the ARN of the role of that name."""
        if role.startswith("arn:"):
            return role
        return f"arn:{self.partition}:iam::{self.id}:role/{role}"


def options(
    *sections: type[Section], without_options: Sequence[type[Section]] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of [aws] and of `sections` to a command, which also receives `account`.

    Errors of boto3 become AwsError: this is the only place that translates them.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def wrapper(aws: AwsSettings, **arguments: Any) -> None:
            try:
                function(account=Account(aws), **arguments)
            except (BotoCoreError, ClientError, Boto3Error) as error:
                raise AwsError(explain(error)) from error

        return settings.options(*sections, AwsSettings, without_options=without_options)(wrapper)

    return decorate


def explain(error: Exception) -> str:
    """What went wrong and what to do next, in one line."""
    inner = _client_error(error)
    if inner is not None:
        return _explain_client_error(inner)
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return "no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE"
        case NoRegionError():
            return NO_REGION
        case ProfileNotFound():
            return f"{error}: see `aws configure list-profiles`"
        case EndpointConnectionError() | ConnectTimeoutError():
            return f"AWS cannot be reached: {error}; check the network and the region"
    if "SSO" in type(error).__name__ or "Token" in type(error).__name__:
        return "the login has expired: run `aws sso login`"
    return _first_line(str(error))


def error_code(error: ClientError) -> str:
    """AWS's name of the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Whether the thing that was asked for does not exist.

    SageMaker has no error of its own for that: it is a ValidationException that says
    "Could not find".
    """
    message = error.response.get("Error", {}).get("Message", "")
    return bool(
        re.search(r"NotFound|NoSuch|404|DoesNotExist", error_code(error))
        or re.search(r"[Cc]ould not find|does not exist|[Nn]ot found|No .* found", message)
    )


def _explain_client_error(error: ClientError) -> str:
    code, operation = error_code(error), error.operation_name
    message = _first_line(error.response.get("Error", {}).get("Message", "") or code)
    if "assume" in message.lower() and "role" in message.lower():
        return f"{operation}: {message}; `python -m training policy --role NAME --apply` makes it"
    if re.search(r"AccessDenied|Unauthorized|^403$|NotAuthorized", code):
        return (
            f"{operation} is not allowed: {message}; "
            "`python -m training policy --role deploy` shows what your user needs, "
            "and --role pipeline what `make deploy` does"
        )
    if re.search(r"Expired|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNot", code):
        return f"the credentials are not valid (any more): {message}; log in again"
    if code == "NoSuchBucket":
        bucket = error.response["Error"].get("BucketName", "")
        return f"bucket {bucket or 'of settings.toml'} does not exist: " + (
            "create it with `python -m training upload --create-bucket`"
        )
    if code in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        return "that bucket's name is taken: choose another with --bucket or in settings.toml"
    if re.search(r"LimitExceeded|CountExceeded|Quota", code):
        return f"a quota of the account is reached: {message}; raise it in Service Quotas"
    if re.search(r"Throttl|TooManyRequests|SlowDown", code):
        return f"AWS throttles {operation}: wait a minute and run the same command again"
    if re.search(r"ResourceInUse|AlreadyExists|already exist", f"{code} {message}"):
        return f"{operation}: the name exists already: {message}"
    return f"{operation}: {message}"


def _client_error(error: BaseException | None) -> ClientError | None:
    """The ClientError in `error` or among its causes: boto3's transfers wrap theirs."""
    while error is not None:
        if isinstance(error, ClientError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _first_line(text: str) -> str:
    return " ".join(text.split())[:400]
