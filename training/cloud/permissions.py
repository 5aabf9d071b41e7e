"""The least that each role of this product needs, as IAM policies.

    lambda_       the API of one stage: invoke its endpoint, write its log
    training      what a training job may do
    serving       what the endpoint and Batch Transform may do
    ec2           what the bare training machine may do
    codebuild     what the image build may do

What a person or a pipeline needs to run the commands is in deployer.py.
"""

from collections.abc import Sequence

from training.cloud import statements
from training.cloud.account import Account
from training.cloud.stages import Stage
from training.cloud.statements import Policy


def lambda_(account: Account, stage: Stage) -> Policy:
    """What the API's function of `stage` may do: ask its endpoint, write its own log."""
    # SageMaker writes endpoints' names in ARNs in lower case, and IAM compares case-sensitively.
    endpoint = account.arn("sagemaker", f"endpoint/{stage.endpoint.lower()}")
    group = account.arn("logs", f"log-group:/aws/lambda/{stage.function}")
    trace = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    return statements.policy(
        statements.allow("InvokeTheEndpoint", "sagemaker:InvokeEndpoint", endpoint),
        statements.allow(
            "WriteTheLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:*"
        ),
        *([statements.allow("Trace", trace, "*")] if stage.traced else []),
    )


def training(account: Account, image: str) -> Policy:
    """What a training job may do; `image` is the container image that it pulls."""
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "data", "jobs", "checkpoints"),
        statements.write(account, "jobs", "checkpoints"),
        statements.allow(
            "EndCheckpoints", "s3:DeleteObject", statements.below(account, "checkpoints")
        ),
        *statements.log_and_measure(account, ["/aws/sagemaker/TrainingJobs"]),
        *statements.pull(account, image),
        *statements.in_vpc(account),
        *statements.use_keys(account),
    )


def serving(account: Account, repository: str, endpoints: Sequence[str]) -> Policy:
    """What the containers of `endpoints` and of Batch Transform may do."""
    groups = [f"/aws/sagemaker/Endpoints/{name}" for name in endpoints]
    image = account.arn("ecr", f"repository/{repository}")
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "models", "jobs", "transform"),
        statements.write(account, "captured", "transform"),
        *statements.log_and_measure(account, [*groups, "/aws/sagemaker/TransformJobs"]),
        statements.allow("PullTheImage", statements.PULL, image),
        statements.allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        *statements.in_vpc(account),
        *statements.use_keys(account),
    )


def ec2(account: Account) -> Policy:
    """What the bare training machine may do: read code and photos, write checkpoints and models."""
    return statements.policy(
        statements.list_below(account),
        statements.read(account, "data", "ec2"),
        statements.write(account, "ec2"),
        *statements.use_keys(account),
    )


def codebuild(account: Account, repository: str, projects: Sequence[str]) -> Policy:
    """What the builds of the serving image may do; `projects` are one an architecture."""
    image = account.arn("ecr", f"repository/{repository}")
    push = [
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ]
    return statements.policy(
        statements.read(account, "builds"),
        statements.allow("PushTheImage", [*statements.PULL, *push], image),
        statements.allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        statements.write_log(account, [f"/aws/codebuild/{project}" for project in projects]),
    )
