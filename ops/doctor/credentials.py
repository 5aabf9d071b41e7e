"""Check who calls, and where."""

from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from aws.account import explain
from aws.errors import AwsError
from ops.deployment import Deployment
from ops.doctor.line import Line, Status


def check(deployment: Deployment) -> Iterator[Line]:
    """Check credentials, region and partition. Whatever fails here blocks."""
    account = deployment.account
    try:
        region = account.region
        partition = account.partition
        identity = account.client("sts").get_caller_identity()
    except AwsError as error:
        yield Line(Status.BLOCKS, "region", str(error), "export AWS_DEFAULT_REGION=eu-central-1")
        return
    except (ClientError, BotoCoreError) as error:
        yield Line(Status.BLOCKS, "credentials", explain(error), "aws sso login, or aws configure")
        return
    arn = str(identity["Arn"])
    if arn.endswith(":root"):
        yield Line(
            Status.WARNING,
            "credentials",
            f"the root user of account {account.id}",
            "log in as a user or role: root cannot be restricted",
        )
    else:
        yield Line(Status.OK, "credentials", f"account {account.id} as {arn.rpartition(':')[2]}")
    known = account.session.get_available_regions("sagemaker", partition)
    if region not in known:
        detail = f"SageMaker does not exist in {region}"
        yield Line(Status.BLOCKS, "region", detail, "choose another with --region")
    else:
        yield Line(Status.OK, "region", region)
