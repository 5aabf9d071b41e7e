"""What operators need for `doctor`, `up` and `down`, besides training and the endpoint."""

from aws import alerts, stages
from aws.account import Account
from aws.policy_statements import Statement, allow
from ops.iam import api_roles, github_oidc

_UNSCOPED = [
    "ec2:DescribeSecurityGroups", "lambda:GetAccountSettings",
    "s3:ListAllMyBuckets", "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
]  # fmt: skip
_SERVICE_LINKED = {
    "sagemaker.application-autoscaling.amazonaws.com": (
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    ),
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
}


def look(account: Account) -> list[Statement]:
    """Allow reading what `doctor` checks, and what `up` skips because it is there."""
    all_stages = list(map(stages.read, stages.names()))
    iam = f"arn:{account.partition}:iam::{account.id}"
    roles = [account.role_arn(api_roles.function_role(stage)) for stage in all_stages]
    roles += [
        account.role_arn(api_roles.release_role(stage))
        for stage in all_stages
        if stages.has_stack(stage.name)
    ]
    linked = [
        account.role_arn(path + role)
        for service, role in _SERVICE_LINKED.items()
        # IAM knows the path only of a role that exists
        for path in ("", f"aws-service-role/{service}/")
    ]
    functions = [account.arn("lambda", f"function:{stage.function}") for stage in all_stages]
    stacks = [
        account.arn("cloudformation", f"stack/{stage.function}/*")
        for stage in all_stages
        if stages.has_stack(stage.name)
    ]
    boundaries = [api_roles.boundary_arn(account, stage) for stage in all_stages]
    return [
        allow("LookAround", _UNSCOPED, "*"),
        allow("ReadApiRoles", ["iam:GetRole", "iam:GetRolePolicy"], [*roles, *linked]),
        allow("ReadBoundaries", ["iam:GetPolicy", "iam:GetPolicyVersion"], boundaries),
        allow(
            "ReadProvider",
            "iam:GetOpenIDConnectProvider",
            f"{iam}:oidc-provider/{github_oidc.ISSUER}",
        ),
        allow("ReadFunctions", ["lambda:GetFunction", "lambda:GetFunctionConcurrency"], functions),
        *([allow("ReadStacks", "cloudformation:DescribeStacks", stacks)] if stacks else []),
        allow(
            "ReadBudget",
            "budgets:ViewBudget",
            f"arn:{account.partition}:budgets::{account.id}:budget/{alerts.budget_name(account)}",
        ),
    ]


def change(account: Account, repository: str) -> list[Statement]:
    """Allow subscribing to alarms, and removing what only images, jobs and endpoints left."""
    all_stages = [stages.read(name) for name in stages.names()]
    topics = [
        alerts.alarm_topic(account, stage) for stage in all_stages if stages.has_stack(stage.name)
    ]
    prefix = account.settings.prefix
    names = [f"/aws/sagemaker/Endpoints/{stage.endpoint}" for stage in all_stages]
    names += [f"/aws/codebuild/{prefix}-image-*"]
    groups = [account.arn("logs", f"log-group:{name}{end}") for name in names for end in ("", ":*")]
    topic_actions = ["sns:ListSubscriptionsByTopic", "sns:Subscribe"]
    return [
        *([allow("SubscribeToAlarms", topic_actions, topics)] if topics else []),
        allow("FindLogs", "logs:DescribeLogGroups", account.arn("logs", "log-group:*")),
        allow("DeleteLogs", "logs:DeleteLogGroup", groups),
        allow(
            "DeleteRepository",
            "ecr:DeleteRepository",
            account.arn("ecr", f"repository/{repository}"),
        ),
        allow(
            "DeleteProjects",
            "codebuild:DeleteProject",
            account.arn("codebuild", f"project/{prefix}-image-*"),
        ),
    ]
