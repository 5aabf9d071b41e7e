"""The least that each role of this product needs, as IAM policies.

    lambda_       the API of one stage: invoke its endpoint, write its log
    training      what a training job may do
    serving       what the endpoint and Batch Transform may do
    ec2           what the bare training machine may do
    codebuild     what the image build may do

What a person or a pipeline needs to run the commands is in deployer.py.
"""

from collections.abc import Sequence

from aws import policy_statements
from aws.account import Account
from aws.policy_statements import Policy
from aws.stages import Stage


def lambda_(account: Account, stage: Stage) -> Policy:
    """What the API's function of `stage` may do: ask its endpoint, write its own log."""
    # SageMaker writes endpoints' names in ARNs in lower case, and IAM compares case-sensitively.
    endpoint = account.arn("sagemaker", f"endpoint/{stage.endpoint.lower()}")
    group = account.arn("logs", f"log-group:/aws/lambda/{stage.function}")
    trace = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    return policy_statements.policy(
        policy_statements.allow("InvokeTheEndpoint", "sagemaker:InvokeEndpoint", endpoint),
        policy_statements.allow(
            "WriteTheLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:*"
        ),
        *([policy_statements.allow("Trace", trace, "*")] if stage.traced else []),
    )


def training(account: Account, image: str) -> Policy:
    """What a training job may do; `image` is the container image that it pulls."""
    return policy_statements.policy(
        policy_statements.list_below(account),
        policy_statements.read(account, "data", "jobs", "checkpoints"),
        policy_statements.write(account, "jobs", "checkpoints"),
        policy_statements.allow(
            "EndCheckpoints", "s3:DeleteObject", policy_statements.below(account, "checkpoints")
        ),
        *policy_statements.log_and_measure(account, ["/aws/sagemaker/TrainingJobs"]),
        *policy_statements.pull(account, image),
        *policy_statements.in_vpc(account),
        *policy_statements.use_keys(account),
    )


def serving(account: Account, repository: str, endpoints: Sequence[str]) -> Policy:
    """What the containers of `endpoints` and of Batch Transform may do."""
    groups = [f"/aws/sagemaker/Endpoints/{name}" for name in endpoints]
    image = account.arn("ecr", f"repository/{repository}")
    return policy_statements.policy(
        policy_statements.list_below(account),
        policy_statements.read(account, "models", "jobs", "transform"),
        policy_statements.write(account, "captured", "transform"),
        *policy_statements.log_and_measure(account, [*groups, "/aws/sagemaker/TransformJobs"]),
        policy_statements.allow("PullTheImage", policy_statements.PULL, image),
        policy_statements.allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        *policy_statements.in_vpc(account),
        *policy_statements.use_keys(account),
    )


def ec2(account: Account) -> Policy:
    """What the bare training machine may do: read code and photos, write checkpoints and models."""
    return policy_statements.policy(
        policy_statements.list_below(account),
        policy_statements.read(account, "data", "ec2"),
        policy_statements.write(account, "ec2"),
        *policy_statements.use_keys(account),
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
    return policy_statements.policy(
        policy_statements.read(account, "builds"),
        policy_statements.allow("PushTheImage", [*policy_statements.PULL, *push], image),
        policy_statements.allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        policy_statements.write_log(account, [f"/aws/codebuild/{project}" for project in projects]),
    )
