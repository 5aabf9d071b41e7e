"""The IAM policies for releasing one stage of the API with `make deploy STAGE=...`.

    chalice       a stage that `chalice deploy` manages (dev)
    stack         a stage that CloudFormation manages (prod)

Resource names are exact unless AWS generates them: the ids in API Gateway, and the suffixes that
CloudFormation appends to CodeDeploy's applications and deployment groups.
"""

from aws import policy_statements
from aws.account import Account
from aws.policy_statements import Policy, Statement, allow
from aws.stages import Stage
from ops.api import rest_api
from ops.iam.api_roles import boundary_arn, function_role, release_role

_LAMBDA = [
    "lambda:CreateFunction", "lambda:DeleteFunctionConcurrency", "lambda:GetFunction",
    "lambda:GetFunctionConfiguration", "lambda:GetPolicy", "lambda:ListTags",
    "lambda:PutFunctionConcurrency", "lambda:RemovePermission", "lambda:TagResource",
    "lambda:UntagResource", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration",
]  # fmt: skip
_LAMBDA_OF_STACK = [
    "lambda:CreateAlias", "lambda:DeleteAlias", "lambda:DeleteFunction",
    "lambda:DeleteProvisionedConcurrencyConfig", "lambda:GetAlias",
    "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionRecursionConfig",
    "lambda:GetFunctionScalingConfig", "lambda:GetProvisionedConcurrencyConfig",
    "lambda:GetRuntimeManagementConfig",
    "lambda:ListVersionsByFunction", "lambda:PublishVersion",
    "lambda:PutProvisionedConcurrencyConfig", "lambda:UpdateAlias",
]  # fmt: skip


def chalice(account: Account, stage: Stage) -> Policy:
    """Return the policy for ops/api/chalice_release.py and `chalice deploy`; it deletes nothing.

    Chalice cannot set a boundary on a role, nor a tag on an API, that it creates, so it may create
    neither: `policy --role pipeline --apply` does it beforehand.
    """
    role = account.role_arn(function_role(stage))
    log_groups = [
        account.arn("logs", f"log-group:/aws/lambda/{name}{suffix}")
        for name in (stage.function, function_role(stage))
        for suffix in ("", ":*")  # IAM uses both forms
    ]
    apis = f"arn:{account.partition}:apigateway:{account.region}::/restapis"
    # The resources of an API inherit its tags in conditions:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
    own = {"StringEquals": {f"aws:ResourceTag/{rest_api.TAG}": stage.function}}
    boundary = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(account, stage)}}
    return policy_statements.policy(
        *_function(account, stage, _LAMBDA, aliases=False),
        allow("ReadRole", "iam:GetRole", role),
        allow("WriteRolePolicy", "iam:PutRolePolicy", role, boundary),
        _pass_role(account, function_role(stage), "lambda"),
        allow("ManageLogs", ["logs:CreateLogGroup", "logs:PutRetentionPolicy"], log_groups),
        allow("FindLogs", "logs:DescribeLogGroups", account.arn("logs", "log-group:*")),
        allow("FindApi", "apigateway:GET", apis),
        allow(
            "ManageApi",
            ["apigateway:GET", "apigateway:PATCH", "apigateway:PUT"],
            f"{apis}/*",
            own,
        ),
        allow("DeployApi", "apigateway:POST", f"{apis}/*/deployments", own),
    )


def stack(account: Account, stage: Stage) -> Policy:
    """Return the policy for ops/api/stack_release.py, and for CloudFormation on its behalf.

    CloudFormation deletes resources when it rolls back or cleans up. It creates no roles.
    """
    roles = [account.role_arn(name) for name in (function_role(stage), release_role(stage))]
    return policy_statements.policy(
        allow(
            "ManageReleases",
            ["s3:GetObject", "s3:PutObject"],
            policy_statements.below(account, f"api/{stage.name}"),
        ),
        *policy_statements.use_keys(account),
        *_change_sets(account, stage),
        *_function(account, stage, [*_LAMBDA, *_LAMBDA_OF_STACK], aliases=True),
        allow("ReadRoles", "iam:GetRole", roles),
        _pass_role(account, function_role(stage), "lambda"),
        _pass_role(account, release_role(stage), "codedeploy"),
        _api_gateway(account),
        *_traffic_shifting(account, stage),
        *_monitoring(account, stage),
    )


def _change_sets(account: Account, stage: Stage) -> list[Statement]:
    """Allow changing the stack, but only with templates from the stage's releases.

    AWS authorises calls that name a change set for the stack, for the change set, or for both.
    """
    [templates] = policy_statements.below(account, f"api/{stage.name}/templates")
    key = templates.partition(":::")[2].partition("/")[2]
    url = f"https://{account.bucket}.s3.{account.region}.{account.dns_suffix}/{key}"
    stack = account.arn("cloudformation", f"stack/{stage.function}/*")
    change_set = account.arn("cloudformation", f"changeSet/{stage.function}-*")
    transform = (
        f"arn:{account.partition}:cloudformation:{account.region}:aws:"
        "transform/Serverless-2016-10-31"
    )
    return [
        allow(
            "CreateChangeSets",
            "cloudformation:CreateChangeSet",
            stack,
            {"StringLike": {"cloudformation:TemplateUrl": url}},
        ),
        allow("UseTransform", "cloudformation:CreateChangeSet", transform),
        allow(
            "ManageStack",
            [
                "cloudformation:CancelUpdateStack", "cloudformation:ContinueUpdateRollback",
                "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks", "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate", "cloudformation:TagResource",
                "cloudformation:UntagResource",
            ],
            [stack, change_set],
        ),
    ]  # fmt: skip


def _function(
    account: Account, stage: Stage, actions: list[str], *, aliases: bool
) -> list[Statement]:
    """Allow `actions` on the function, and letting only API Gateway invoke it."""
    arn = account.arn("lambda", f"function:{stage.function}")
    resources = [arn, f"{arn}:*"] if aliases else [arn]
    only_api_gateway = {"StringEquals": {"lambda:Principal": "apigateway.amazonaws.com"}}
    return [
        allow("ManageFunction", sorted(actions), resources),
        allow("LetApiInvoke", "lambda:AddPermission", resources, only_api_gateway),
    ]


def _pass_role(account: Account, role: str, service: str) -> Statement:
    return allow(
        f"PassRoleTo{service.capitalize()}",
        "iam:PassRole",
        account.role_arn(role),
        {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
    )


def _api_gateway(account: Account) -> Statement:
    """Allow managing the API, its key and its usage plan; API Gateway generates their ids."""
    gateway = f"arn:{account.partition}:apigateway:{account.region}::"
    parts = ("restapis", "apikeys", "usageplans")
    return allow(
        "ManageApi",
        [f"apigateway:{method}" for method in ("DELETE", "GET", "PATCH", "POST", "PUT")],
        [f"{gateway}/{part}{end}" for part in parts for end in ("", "/*")] + [f"{gateway}/tags/*"],
    )


def _traffic_shifting(account: Account, stage: Stage) -> list[Statement]:
    """Allow managing CodeDeploy's application and deployments of the alias."""
    name = stage.function
    return [
        allow(
            "ShiftTraffic",
            [
                "codedeploy:CreateApplication", "codedeploy:CreateDeployment",
                "codedeploy:CreateDeploymentGroup", "codedeploy:DeleteApplication",
                "codedeploy:DeleteDeploymentGroup", "codedeploy:GetApplication",
                "codedeploy:GetApplicationRevision", "codedeploy:GetDeployment",
                "codedeploy:GetDeploymentGroup", "codedeploy:ListDeployments",
                "codedeploy:ListTagsForResource", "codedeploy:RegisterApplicationRevision",
                "codedeploy:StopDeployment", "codedeploy:TagResource",
                "codedeploy:UntagResource", "codedeploy:UpdateDeploymentGroup",
            ],
            [
                account.arn("codedeploy", f"application:{name}-*"),
                account.arn("codedeploy", f"deploymentgroup:{name}-*/{name}-*"),
            ],
        ),
        allow(
            "ReadDeploymentConfig",
            "codedeploy:GetDeploymentConfig",
            account.arn("codedeploy", "deploymentconfig:CodeDeployDefault.Lambda*"),
        ),
    ]  # fmt: skip


def _monitoring(account: Account, stage: Stage) -> list[Statement]:
    """Allow managing the log, the alarms, their topic, and the dashboard."""
    name = stage.function
    log_group = account.arn("logs", f"log-group:/aws/lambda/{name}")
    return [
        allow(
            "ManageMonitoring",
            [
                "cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards",
                "cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource",
                "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [
                account.arn("cloudwatch", f"alarm:{name}-api-*"),
                f"arn:{account.partition}:cloudwatch::{account.id}:dashboard/{name}",
            ],
        ),
        allow(
            "ManageTopic",
            [
                "sns:CreateTopic", "sns:DeleteTopic", "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource", "sns:SetTopicAttributes", "sns:TagResource",
                "sns:UntagResource",
            ],
            account.arn("sns", f"{name}-alarms"),
        ),
        allow(
            "ManageLog",
            [
                "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy",
                "logs:GetDataProtectionPolicy", "logs:ListTagsForResource",
                "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
            ],
            [log_group, f"{log_group}:*"],
        ),
        allow(
            "ReadUnscoped",
            [
                "cloudwatch:DescribeAlarms", "logs:DescribeIndexPolicies",
                "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
            ],
            "*",
        ),
    ]  # fmt: skip
