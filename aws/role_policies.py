"""Least-privilege IAM policies of the service roles.

The policies of people and pipelines are in ops/iam/operator_policy.py and release_policy.py.
"""

import re
from collections.abc import Sequence

from aws import policy_statements as statements
from aws.account import Account
from aws.log_groups import TRAINING, TRANSFORM, codebuild_group, endpoint_group
from aws.policy_statements import Policy, allow
from aws.settings import FitSettings
from aws.stages import Stage


def lambda_(account: Account, stage: Stage) -> Policy:
    """Return the policy of the API's function: invoke the stage's endpoint, write its own log."""
    # SageMaker lowercases endpoint names in ARNs; IAM compares case-sensitively.
    endpoint = account.arn("sagemaker", f"endpoint/{stage.endpoint.lower()}")
    log = account.arn("logs", f"log-group:/aws/lambda/{stage.function}:*")
    trace = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    return statements.policy(
        allow("InvokeTheEndpoint", "sagemaker:InvokeEndpoint", endpoint),
        allow("WriteTheLog", ["logs:CreateLogStream", "logs:PutLogEvents"], log),
        *([allow("Trace", trace, "*")] if stage.traced else []),
    )


def training(account: Account, image: str, fit: FitSettings) -> Policy:
    """Return the policy of training jobs that pull `image` and read the photos of `fit`."""
    ecr = re.match(r"(\d+)\.dkr\.ecr\.([^.]+)\.[^/]+/([^:@]+)", image)
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "data", "jobs", "checkpoints"),
        *statements.read_elsewhere(account, fit.data, fit.data_key),
        statements.write(account, "jobs", "checkpoints"),
        allow("EndCheckpoints", "s3:DeleteObject", statements.below(account, "checkpoints")),
        *statements.log_and_measure(account, [TRAINING]),
        # A public image needs no permission.
        *(statements.pull(account, *ecr.groups()) if ecr else []),
        *statements.in_vpc(account),
        *statements.use_keys(account),
    )


def serving(account: Account, repository: str, endpoints: Sequence[str]) -> Policy:
    """Return the policy of the containers of `endpoints` and of Batch Transform."""
    groups = [endpoint_group(name) for name in endpoints]
    alarms = [account.arn("cloudwatch", f"alarm:{name}-*") for name in endpoints]
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "models", "jobs", "transform"),
        statements.write(account, "captured", "transform"),
        *statements.log_and_measure(account, [*groups, TRANSFORM]),
        # https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
        allow("WatchRollouts", "cloudwatch:DescribeAlarms", alarms),
        *statements.pull(account, account.id, account.region, repository),
        *statements.in_vpc(account),
        *statements.use_keys(account),
    )


def ec2(account: Account, fit: FitSettings) -> Policy:
    """Return the policy of the EC2 instance: read code and photos, write checkpoints and models.

    The photos are those of `fit`. Session Manager, the way to a shell, needs the last statement.
    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "data", "ec2"),
        *statements.read_elsewhere(account, fit.data, fit.data_key),
        statements.write(account, "ec2"),
        *statements.use_keys(account),
        allow("OpenShells", statements.SESSION_MANAGER, "*"),
    )


def codebuild(account: Account, repository: str, projects: Sequence[str]) -> Policy:
    """Return the policy of CodeBuild's `projects`, which build and push the serving image."""
    image = account.arn("ecr", f"repository/{repository}")
    push = [
        "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]  # fmt: skip
    return statements.policy(
        statements.read(account, "builds"),
        allow("PushTheImage", [*statements.PULL, *push], image),
        allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        statements.write_log(account, [codebuild_group(project) for project in projects]),
        *statements.use_keys(account),
    )
