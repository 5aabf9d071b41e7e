"""Check whose bucket it is and where."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from aws.account import error_code
from ops.deployment import Deployment
from ops.doctor.line import Line, Status


def check(deployment: Deployment) -> Iterator[Line]:
    """Check that the bucket belongs to this account and region.

    Without ExpectedBucketOwner, S3 accepts a bucket of another account that admits us.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
    """
    account = deployment.account
    name, fix = account.bucket, "choose another name with bucket in [aws] of settings.toml"
    try:
        response = account.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=account.id)
    except ClientError as error:
        code = error_code(error)
        if code in ("404", "NoSuchBucket"):
            detail = f"{name} does not exist"
            setup = f"python -m ops up --stage {deployment.stage.name} --part setup"
            yield Line(Status.TO_DO, "bucket", detail, setup)
        elif code in ("403", "AccessDenied"):
            # Raises AccessDenied if the caller may not list buckets: then nothing is known.
            own = account.client("s3").list_buckets(Prefix=name)["Buckets"]
            if name in {bucket["Name"] for bucket in own}:
                detail = f"could not check: you may not list {name}"
                yield Line(Status.UNKNOWN, "bucket", detail)
            else:
                yield Line(Status.BLOCKS, "bucket", f"{name} belongs to another account", fix)
        elif code in ("301", "PermanentRedirect"):
            yield Line(Status.BLOCKS, "bucket", f"{name} is not in {account.region}", fix)
        else:
            raise
        return
    region = response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", account.region)
    if region != account.region:
        detail = f"{name} is in {region}, not in {account.region}"
        yield Line(Status.BLOCKS, "bucket", detail, fix)
    else:
        yield Line(Status.OK, "bucket", name)
