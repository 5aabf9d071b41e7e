"""Least-privilege IAM policies of the service roles.

The policies of people and pipelines are in ops/iam/operator_policy.py and release_policy.py.
"""

from collections.abc import Sequence

from aws import policy_statements
from aws.account import Account
from aws.policy_statements import Policy
from aws.stages import Stage


def lambda_(account: Account, stage: Stage) -> Policy:
    """Return the policy of the API's function: invoke the stage's endpoint, write its own log."""
    # SageMaker lowercases endpoint names in ARNs; IAM compares case-sensitively.
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
    """Return the policy of training jobs that pull the container image `image`."""
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
    """Return the policy of the containers of `endpoints` and of Batch Transform."""
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
    """Return the policy of the EC2 instance: read code and photos, write checkpoints and models."""
    return policy_statements.policy(
        policy_statements.list_below(account),
        policy_statements.read(account, "data", "ec2"),
        policy_statements.write(account, "ec2"),
        *policy_statements.use_keys(account),
    )


def codebuild(account: Account, repository: str, projects: Sequence[str]) -> Policy:
    """Return the policy of CodeBuild's `projects`, which build and push the serving image."""
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
