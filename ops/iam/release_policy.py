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
    "lambda:GetProvisionedConcurrencyConfig", "lambda:GetRuntimeManagementConfig",
    "lambda:ListVersionsByFunction", "lambda:PublishVersion",
    "lambda:PutProvisionedConcurrencyConfig", "lambda:UpdateAlias",
]  # fmt: skip


def boundary_arn(account: Account, stage: Stage) -> str:
    """Return the ARN of the permissions boundary of the stage's roles."""
    return f"arn:{account.partition}:iam::{account.id}:policy/{stage.function}-boundary"


def function_role(stage: Stage) -> str:
    """Return the name of the function's role. Chalice chose it, so the stack uses it too."""
    return f"{stage.function}-api_handler"


def release_role(stage: Stage) -> str:
    """Return the name of the role with which CodeDeploy shifts the traffic of a stack."""
    return f"{stage.function}-release"


def chalice(account: Account, stage: Stage) -> Policy:
    """Return the policy for ops/api/chalice_release.py and `chalice deploy`; it deletes nothing.

    Chalice cannot set a boundary on a role that it creates, so it may not create one: `policy
    --role pipeline --apply` creates the role with the boundary beforehand.
    """
    role = account.role_arn(function_role(stage))
    log_groups = [
        account.arn("logs", f"log-group:/aws/lambda/{name}{suffix}")
        for name in (stage.function, function_role(stage))
        for suffix in ("", ":*")  # IAM uses both forms
    ]
    gateway = f"arn:{account.partition}:apigateway:{account.region}::"
    return policy_statements.policy(
        *_release_objects(account, stage),
        *_function(account, stage, _LAMBDA, aliases=False),
        allow("ReadRole", "iam:GetRole", role),
        allow("WriteRolePolicy", "iam:PutRolePolicy", role, _with_boundary(account, stage)),
        _pass_role(account, function_role(stage), "lambda"),
        allow("ManageLogs", ["logs:CreateLogGroup", "logs:PutRetentionPolicy"], log_groups),
        _find_logs(account),
        allow("CreateApi", ["apigateway:GET", "apigateway:POST"], f"{gateway}/restapis"),
        allow(
            "ManageApi",
            ["apigateway:GET", "apigateway:PATCH", "apigateway:PUT"],
            f"{gateway}/restapis/*",
        ),
        allow("DeployApi", "apigateway:POST", f"{gateway}/restapis/*/deployments"),
    )


def stack(account: Account, stage: Stage) -> Policy:
    """Return the policy for ops/api/stack_release.py, and for CloudFormation on its behalf.

    CloudFormation deletes resources when it rolls back or cleans up. It may create roles, but only
    those of the stage, and only with the boundary.
    """
    roles = [account.role_arn(name) for name in (function_role(stage), release_role(stage))]
    boundary = _with_boundary(account, stage)
    return policy_statements.policy(
        *_release_objects(account, stage),
        *_change_sets(account, stage),
        *_function(account, stage, [*_LAMBDA, *_LAMBDA_OF_STACK], aliases=True),
        allow(
            "WriteRolesWithBoundary",
            ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            roles,
            boundary,
        ),
        allow(
            "ManageRoles",
            [
                "iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:TagRole",
                "iam:UntagRole",
            ],
            roles,
        ),
        _pass_role(account, function_role(stage), "lambda"),
        _pass_role(account, release_role(stage), "codedeploy"),
        allow("ReadBoundary", "iam:GetPolicy", boundary_arn(account, stage)),
        *_api_gateway(account),
        *_traffic_shifting(account, stage),
        *_monitoring(account, stage),
        _find_logs(account),
    )  # fmt: skip


def _release_objects(account: Account, stage: Stage) -> list[Statement]:
    """Allow reading and writing the stage's releases in S3, and listing the bucket.

    Without ListBucket S3 answers 403 instead of 404 for a missing object. A condition on the prefix
    would not help, because GetObject sends none.
    """
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    releases = policy_statements.below(account, f"api/{stage.name}")
    return [
        allow("ListBucket", "s3:ListBucket", bucket),
        allow("ManageReleases", ["s3:GetObject", "s3:PutObject"], releases),
        *policy_statements.use_keys(account),
    ]


def _change_sets(account: Account, stage: Stage) -> list[Statement]:
    """Allow changing the stack, but only with templates from the stage's releases."""
    [templates] = policy_statements.below(account, f"api/{stage.name}/templates")
    key = templates.partition(":::")[2].partition("/")[2]
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    url = f"https://{account.bucket}.s3.{account.region}.{suffix}/{key}"
    stack = account.arn("cloudformation", f"stack/{stage.function}/*")
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
        allow("UseServerlessTransform", "cloudformation:CreateChangeSet", transform),
        allow(
            "ManageStack",
            [
                "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks", "cloudformation:ExecuteChangeSet",
                "cloudformation:TagResource",
            ],
            stack,
        ),
    ]  # fmt: skip


def _function(
    account: Account, stage: Stage, actions: list[str], *, aliases: bool
) -> list[Statement]:
    """Allow `actions` on the function, and let API Gateway alone invoke it."""
    arn = account.arn("lambda", f"function:{stage.function}")
    resources = [arn, f"{arn}:*"] if aliases else [arn]
    only_api_gateway = {"StringEquals": {"lambda:Principal": "apigateway.amazonaws.com"}}
    return [
        allow("ManageFunction", sorted(actions), resources),
        allow("LetApiInvokeFunction", "lambda:AddPermission", resources, only_api_gateway),
    ]


def _with_boundary(account: Account, stage: Stage) -> dict[str, dict[str, str]]:
    """Return the condition that the role has, or receives, the stage's boundary."""
    return {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(account, stage)}}


def _pass_role(account: Account, role: str, service: str) -> Statement:
    return allow(
        f"PassRoleTo{service.capitalize()}",
        "iam:PassRole",
        account.role_arn(role),
        {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
    )


def _api_gateway(account: Account) -> list[Statement]:
    """Allow managing the API, its key and its usage plan; API Gateway generates their ids."""
    gateway = f"arn:{account.partition}:apigateway:{account.region}::"
    parts = ("restapis", "apikeys", "usageplans")
    methods = ["DELETE", "GET", "PATCH", "POST", "PUT"]
    return [
        allow(
            "CreateApi",
            ["apigateway:GET", "apigateway:POST"],
            [f"{gateway}/{part}" for part in parts],
        ),
        allow(
            "ManageApi",
            [f"apigateway:{method}" for method in methods],
            [f"{gateway}/{part}/*" for part in parts],
        ),
        allow("TagApi", ["apigateway:POST", "apigateway:PUT"], f"{gateway}/tags/*"),
    ]


def _traffic_shifting(account: Account, stage: Stage) -> list[Statement]:
    """Allow managing CodeDeploy's application and deployments of the alias."""
    name = stage.function
    return [
        allow(
            "ManageDeployments",
            [
                "codedeploy:CreateApplication", "codedeploy:CreateDeployment",
                "codedeploy:CreateDeploymentGroup", "codedeploy:DeleteApplication",
                "codedeploy:DeleteDeploymentGroup", "codedeploy:GetApplication",
                "codedeploy:GetApplicationRevision", "codedeploy:GetDeployment",
                "codedeploy:GetDeploymentGroup", "codedeploy:ListTagsForResource",
                "codedeploy:RegisterApplicationRevision", "codedeploy:TagResource",
                "codedeploy:UntagResource", "codedeploy:UpdateApplication",
                "codedeploy:UpdateDeploymentGroup",
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
            "ManageAlarms",
            [
                "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource", "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource", "cloudwatch:UntagResource",
            ],
            account.arn("cloudwatch", f"alarm:{name}-api-*"),
        ),
        allow(
            "ManageDashboard",
            [
                "cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard",
                "cloudwatch:PutDashboard",
            ],
            f"arn:{account.partition}:cloudwatch::{account.id}:dashboard/{name}",
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
                "logs:DescribeIndexPolicies", "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource",
                "logs:UntagResource",
            ],
            [log_group, f"{log_group}:*"],
        ),
    ]  # fmt: skip


def _find_logs(account: Account) -> Statement:
    return allow("FindLogs", "logs:DescribeLogGroups", account.arn("logs", "log-group:*"))
