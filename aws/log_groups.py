"""Log groups in CloudWatch Logs. Those that AWS's services create keep their events forever."""

from typing import Any

from aws.account import Account

TRAINING = "/aws/sagemaker/TrainingJobs"
TRANSFORM = "/aws/sagemaker/TransformJobs"


def endpoint_group(endpoint: str) -> str:
    """Return the log group of an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def codebuild_group(project: str) -> str:
    """Return the log group of a CodeBuild project."""
    return f"/aws/codebuild/{project}"


def ensure(account: Account, name: str) -> None:
    """Create the log group if it is missing. Set its retention unless it has one."""
    logs = account.client("logs")
    group = describe(account, name)
    if group is None:
        logs.create_log_group(logGroupName=name, tags=account.settings.tags)
    if group is None or "retentionInDays" not in group:
        days = account.settings.log_retention_days
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """Return AWS's description of a log group, or None if it does not exist."""
    groups = account.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((dict(group) for group in groups if group["logGroupName"] == name), None)
