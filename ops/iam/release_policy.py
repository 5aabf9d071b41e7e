"""What who releases the API of one stage may do: `make deploy STAGE=…`, and no more.

    chalice       a stage that `chalice deploy` keeps (dev)
    stack         a stage that CloudFormation keeps (prod)

Names are exact wherever AWS lets one choose them. Where it chooses itself there is a wildcard: API
Gateway's ids, and what CloudFormation appends to the names of CodeDeploy's parts.
"""

from aws import policy_statements
from aws.account import Account
from aws.policy_statements import Policy, Statement
from aws.stages import Stage

_LAMBDA = [
    "lambda:AddPermission", "lambda:CreateFunction", "lambda:DeleteFunctionConcurrency",
    "lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:GetPolicy",
    "lambda:ListTags", "lambda:PutFunctionConcurrency", "lambda:RemovePermission",
    "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
]  # fmt: skip


def boundary_arn(account: Account, stage: Stage) -> str:
    """The ARN of the policy that no role of the stage can go beyond."""
    return f"arn:{account.partition}:iam::{account.id}:policy/{stage.function}-boundary"


def function_role(stage: Stage) -> str:
    """The name of the role that the stage's function has; for dev it is Chalice's choice."""
    return f"{stage.function}-api_handler"


def release_role(stage: Stage) -> str:
    """The name of the role with which CodeDeploy moves the traffic of a stack."""
    return f"{stage.function}-release"


def chalice(account: Account, stage: Stage) -> Policy:
    """What `chalice deploy` and scripts/chalice_release.py ask for; nothing is deleted by them.

    Chalice cannot set a boundary on a role that it creates, so it may create none: the role is
    there before, made with the boundary by `policy --role pipeline --apply`.
    """
    role = account.role_arn(function_role(stage))
    groups = [
        account.arn("logs", f"log-group:/aws/lambda/{name}{end}")
        for name in (stage.function, function_role(stage))
        for end in ("", ":*")  # IAM has both forms of a group's ARN
    ]
    gateway = f"arn:{account.partition}:apigateway:{account.region}::"
    return policy_statements.policy(
        *_shelf(account, stage),
        *_function(account, stage, [*_LAMBDA], []),
        policy_statements.allow("LookAtTheRole", "iam:GetRole", role),
        policy_statements.allow(
            "WriteTheRolesPolicy", "iam:PutRolePolicy", role, _in(account, stage)
        ),
        *_pass(account, {function_role(stage): "lambda"}),
        policy_statements.allow(
            "KeepLogs", ["logs:CreateLogGroup", "logs:PutRetentionPolicy"], groups
        ),
        policy_statements.allow(
            "FindLogs", "logs:DescribeLogGroups", account.arn("logs", "log-group:*")
        ),
        policy_statements.allow(
            "FindAndMakeTheApi", ["apigateway:GET", "apigateway:POST"], f"{gateway}/restapis"
        ),
        policy_statements.allow(
            "KeepTheApi",
            ["apigateway:GET", "apigateway:PATCH", "apigateway:PUT"],
            f"{gateway}/restapis/*",
        ),
        policy_statements.allow(
            "DeployTheApi", "apigateway:POST", f"{gateway}/restapis/*/deployments"
        ),
    )


def stack(account: Account, stage: Stage) -> Policy:
    """What scripts/stack_release.py asks for, and CloudFormation in the name of who called it.

    CloudFormation also goes back and cleans up, for which it deletes. Roles it may make, but only
    these, and only with the stage's boundary.
    """
    name = stage.function
    roles = [account.role_arn(one) for one in (function_role(stage), release_role(stage))]
    templates = policy_statements.below(account, f"api/{stage.name}/templates")
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    key = templates[0].partition(":::")[2].partition("/")[2]
    address = f"https://{account.bucket}.s3.{account.region}.{suffix}/{key}"
    ours = account.arn("cloudformation", f"stack/{name}/*")
    transform = (
        f"arn:{account.partition}:cloudformation:{account.region}:aws:"
        "transform/Serverless-2016-10-31"
    )
    return policy_statements.policy(
        *_shelf(account, stage),
        policy_statements.allow(
            "ProposeChanges",
            "cloudformation:CreateChangeSet",
            ours,
            {"StringLike": {"cloudformation:TemplateUrl": address}},
        ),
        policy_statements.allow("TransformThem", "cloudformation:CreateChangeSet", transform),
        policy_statements.allow(
            "MakeChanges",
            [
                "cloudformation:DeleteChangeSet", "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet", "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStacks", "cloudformation:ExecuteChangeSet",
                "cloudformation:TagResource",
            ],
            ours,
        ),
        *_function(
            account,
            stage,
            [
                *_LAMBDA, "lambda:CreateAlias", "lambda:DeleteAlias", "lambda:DeleteFunction",
                "lambda:GetAlias", "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionRecursionConfig", "lambda:GetRuntimeManagementConfig",
                "lambda:ListVersionsByFunction", "lambda:PublishVersion", "lambda:UpdateAlias",
            ],
            [
                "lambda:DeleteProvisionedConcurrencyConfig",
                "lambda:GetProvisionedConcurrencyConfig",
                "lambda:PutProvisionedConcurrencyConfig",
            ],
        ),
        policy_statements.allow(
            "MakeRolesWithinTheBoundary",
            ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            roles,
            _in(account, stage),
        ),
        policy_statements.allow(
            "KeepRoles",
            [
                "iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:TagRole",
                "iam:UntagRole",
            ],
            roles,
        ),
        *_pass(account, {function_role(stage): "lambda", release_role(stage): "codedeploy"}),
        policy_statements.allow("LookAtTheBoundary", "iam:GetPolicy", boundary_arn(account, stage)),
        *_gateway(account),
        *_shift(account, stage),
        *_watch(account, stage),
    )  # fmt: skip


def _shelf(account: Account, stage: Stage) -> list[Statement]:
    """The releases in S3, and nothing else of the bucket but its names.

    Without the names S3 answers 403 in place of 404 for what is not there yet; a condition on the
    prefix would not help, for a GetObject has none.
    """
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    place = policy_statements.below(account, f"api/{stage.name}")
    return [
        policy_statements.allow("SeeWhatIsThere", "s3:ListBucket", bucket),
        policy_statements.allow("KeepReleases", ["s3:GetObject", "s3:PutObject"], place),
        *policy_statements.use_keys(account),
    ]


def _function(
    account: Account, stage: Stage, actions: list[str], qualified: list[str]
) -> list[Statement]:
    """Keep the function, and let API Gateway alone call it; `qualified` are for its alias."""
    arn = account.arn("lambda", f"function:{stage.function}")
    kept = sorted({*actions} - {"lambda:AddPermission"})
    everywhere = [arn, f"{arn}:*"] if qualified else [arn]
    return [
        policy_statements.allow("KeepTheFunction", [*kept, *qualified], everywhere),
        policy_statements.allow(
            "LetTheApiCallIt",
            "lambda:AddPermission",
            everywhere,
            {"StringEquals": {"lambda:Principal": "apigateway.amazonaws.com"}},
        ),
    ]


def _in(account: Account, stage: Stage) -> dict[str, dict[str, str]]:
    """Only where the role has the stage's boundary, or gets it."""
    return {"StringEquals": {"iam:PermissionsBoundary": boundary_arn(account, stage)}}


def _pass(account: Account, roles: dict[str, str]) -> list[Statement]:
    """Hand out each role to one service."""
    return [
        policy_statements.allow(
            f"HandOutTheRoleOf{service.capitalize()}",
            "iam:PassRole",
            account.role_arn(role),
            {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
        )
        for role, service in roles.items()
    ]


def _gateway(account: Account) -> list[Statement]:
    """The API, its key and its usage plan: API Gateway chooses their ids."""
    gateway = f"arn:{account.partition}:apigateway:{account.region}::"
    parts = ["restapis", "apikeys", "usageplans"]
    return [
        policy_statements.allow(
            "MakeTheApi",
            ["apigateway:GET", "apigateway:POST"],
            [f"{gateway}/{part}" for part in parts],
        ),
        policy_statements.allow(
            "KeepTheApi",
            [
                "apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST",
                "apigateway:PUT",
            ],
            [f"{gateway}/{part}/*" for part in parts],
        ),
        policy_statements.allow("TagTheApi", ["apigateway:POST", "apigateway:PUT"], f"{gateway}/tags/*"),
    ]  # fmt: skip


def _shift(account: Account, stage: Stage) -> list[Statement]:
    """CodeDeploy, which moves the traffic of the alias."""
    name = stage.function
    return [
        policy_statements.allow(
            "ShiftTraffic",
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
        policy_statements.allow(
            "ReadHowToShift",
            "codedeploy:GetDeploymentConfig",
            account.arn("codedeploy", "deploymentconfig:CodeDeployDefault.Lambda*"),
        ),
    ]  # fmt: skip


def _watch(account: Account, stage: Stage) -> list[Statement]:
    """Log, alarms, dashboard, and the topic that the alarms go to."""
    name = stage.function
    dashboard = f"arn:{account.partition}:cloudwatch::{account.id}:dashboard/{name}"
    return [
        policy_statements.allow(
            "KeepAlarms",
            [
                "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource", "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource", "cloudwatch:UntagResource",
            ],
            account.arn("cloudwatch", f"alarm:{name}-api-*"),
        ),
        policy_statements.allow(
            "KeepTheDashboard",
            [
                "cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard",
                "cloudwatch:PutDashboard",
            ],
            dashboard,
        ),
        policy_statements.allow(
            "KeepTheTopic",
            [
                "sns:CreateTopic", "sns:DeleteTopic", "sns:GetDataProtectionPolicy",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource",
                "sns:SetTopicAttributes", "sns:TagResource", "sns:UntagResource",
            ],
            account.arn("sns", f"{name}-alarms"),
        ),
        policy_statements.allow(
            "KeepTheLog",
            [
                "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy",
                "logs:DescribeIndexPolicies", "logs:GetDataProtectionPolicy",
                "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource",
                "logs:UntagResource",
            ],
            [
                account.arn("logs", f"log-group:/aws/lambda/{name}"),
                account.arn("logs", f"log-group:/aws/lambda/{name}:*"),
            ],
        ),
        policy_statements.allow(
            "FindLogs", "logs:DescribeLogGroups", account.arn("logs", "log-group:*")
        ),
    ]  # fmt: skip
