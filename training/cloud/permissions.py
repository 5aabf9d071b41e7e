"""The least that each role needs, as IAM policies that name what they allow.

    lambda_       the API of one stage: invoke its endpoint, write its log
    training      what a training job may do
    serving       what the endpoint and Batch Transform may do
    ec2           what the bare training machine may do
    codebuild     what the image build may do
    deploy        what the person or pipeline that runs these commands may do

`*` stands only where IAM knows no resource for an action (see `UNSCOPED`), with a condition where
there is one. Source: https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

from collections.abc import Sequence
from typing import Any

from training.cloud import stages
from training.cloud.account import Account
from training.cloud.stages import Stage

Policy = dict[str, Any]
Statement = dict[str, Any]

UNSCOPED = frozenset(
    {
        "application-autoscaling:DeleteScheduledAction",
        "application-autoscaling:DeleteScalingPolicy",
        "application-autoscaling:DeregisterScalableTarget",
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingActivities",
        "application-autoscaling:DescribeScalingPolicies",
        "application-autoscaling:DescribeScheduledActions",
        "application-autoscaling:PutScalingPolicy",
        "application-autoscaling:PutScheduledAction",
        "application-autoscaling:RegisterScalableTarget",
        "cloudwatch:PutMetricData",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints",
        "ec2:DescribeVpcs",
        "ec2:DescribeDhcpOptions",
        "ecr:GetAuthorizationToken",
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListEndpoints",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListModels",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListTransformJobs",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
)
"""Actions for which IAM has no resource: `*` is the only thing that can be written."""

_PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
_WRITE_LOG = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]


def lambda_(account: Account, stage: Stage) -> Policy:
    """What the API's function of `stage` may do: ask its endpoint, write its own log."""
    # SageMaker writes endpoints' names in ARNs in lower case, and IAM compares case-sensitively.
    endpoint = account.arn("sagemaker", f"endpoint/{stage.endpoint.lower()}")
    group = account.arn("logs", f"log-group:/aws/lambda/{stage.function}")
    trace = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    return _policy(
        _allow("InvokeTheEndpoint", "sagemaker:InvokeEndpoint", endpoint),
        _allow("WriteTheLog", ["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:*"),
        *([_allow("Trace", trace, "*")] if stage.traced else []),
    )


def training(account: Account, image: str) -> Policy:
    """What a training job may do; `image` is the container image that it pulls."""
    return _policy(
        _list_below(account),
        _read(account, "data", "jobs", "checkpoints"),
        _write(account, "jobs", "checkpoints"),
        _allow("EndCheckpoints", "s3:DeleteObject", _below(account, "checkpoints")),
        *_log_and_measure(account, ["/aws/sagemaker/TrainingJobs"]),
        *_pull(account, image),
        *_in_vpc(account),
        *_keys(account),
    )


def serving(account: Account, repository: str, endpoints: Sequence[str]) -> Policy:
    """What the containers of `endpoints` and of Batch Transform may do."""
    groups = [f"/aws/sagemaker/Endpoints/{name}" for name in endpoints]
    image = account.arn("ecr", f"repository/{repository}")
    return _policy(
        _list_below(account),
        _read(account, "models", "jobs", "transform"),
        _write(account, "captured", "transform"),
        *_log_and_measure(account, [*groups, "/aws/sagemaker/TransformJobs"]),
        _allow("PullTheImage", _PULL, image),
        _allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        *_in_vpc(account),
        *_keys(account),
    )


def ec2(account: Account) -> Policy:
    """What the bare training machine may do: read code and photos, write checkpoints and models."""
    return _policy(
        _list_below(account),
        _read(account, "data", "ec2"),
        _write(account, "ec2"),
        *_keys(account),
    )


def codebuild(account: Account, repository: str, project: str) -> Policy:
    """What the build of the serving image may do."""
    image = account.arn("ecr", f"repository/{repository}")
    push = [
        "ecr:CompleteLayerUpload",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    ]
    return _policy(
        _read(account, "builds"),
        _allow("PushTheImage", [*_PULL, *push], image),
        _allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        _write_log(account, [f"/aws/codebuild/{project}"]),
    )


def deploy(account: Account, repository: str, roles: Sequence[str]) -> Policy:
    """What who runs these commands may do; `roles` are the names of the roles it hands out.

    It can write no policy of a role: who could, could give itself everything. The roles of `ec2`
    and `image` are therefore made once by an administrator: `policy --role ec2 --apply`.
    """
    endpoints = [stages.read(name).endpoint.lower() for name in stages.names()]
    prefix = account.cloud.prefix.lower()
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"

    def sagemaker(kind: str, *names: str) -> list[str]:
        return [account.arn("sagemaker", f"{kind}/{name}") for name in names]

    jobs = [
        *sagemaker("training-job", f"{prefix}-*"),
        *sagemaker("hyper-parameter-tuning-job", f"{prefix}-*"),
        *sagemaker("transform-job", f"{prefix}-*"),
    ]
    versions = [f"{name}-*" for name in endpoints]
    served = [
        *sagemaker("endpoint", *endpoints),
        *sagemaker("endpoint-config", *versions),
        *sagemaker("model", *versions),
    ]
    return _policy(
        _allow(
            "KeepTheBucket",
            [
                "s3:CreateBucket", "s3:GetBucketPolicy", "s3:GetBucketLocation", "s3:ListBucket",
                "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock",
                "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
            ],
            bucket,
        ),
        _allow(
            "KeepTheObjects",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            f"{bucket}/{account.cloud.prefix}/*",
        ),
        _allow(
            "RunJobs",
            [
                "sagemaker:AddTags", "sagemaker:CreateHyperParameterTuningJob",
                "sagemaker:CreateTrainingJob", "sagemaker:CreateTransformJob",
                "sagemaker:DescribeHyperParameterTuningJob", "sagemaker:DescribeTrainingJob",
                "sagemaker:DescribeTransformJob", "sagemaker:ListTags",
                "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
                "sagemaker:StopHyperParameterTuningJob", "sagemaker:StopTrainingJob",
                "sagemaker:StopTransformJob", "sagemaker:UpdateTrainingJob",
            ],
            jobs,
        ),
        _allow(
            "KeepTheEndpoints",
            [
                "sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig",
                "sagemaker:CreateModel", "sagemaker:DeleteEndpoint",
                "sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel",
                "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig",
                "sagemaker:DescribeModel", "sagemaker:InvokeEndpoint", "sagemaker:ListTags",
                "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
            ],
            served,
        ),
        _allow(
            "List",
            [
                "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
                "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModels",
                "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs",
            ],
            "*",
        ),
        _allow(
            "HandOutRoles",
            "iam:PassRole",
            [account.role_arn(role) for role in roles],
            {
                "StringEquals": {
                    "iam:PassedToService": [
                        "sagemaker.amazonaws.com",
                        "codebuild.amazonaws.com",
                        "ec2.amazonaws.com",
                    ]
                }
            },
        ),
        _allow(
            "LookAtRoles",
            ["iam:GetRole", "iam:GetRolePolicy"],
            [account.role_arn(role) for role in roles],
        ),
        *_scale(account, endpoints),
        *_build(account, repository),
        *_launch(account, roles),
        _allow(
            "ReadLogs",
            ["logs:DescribeLogStreams", "logs:GetLogEvents"],
            [
                account.arn("logs", f"log-group:/aws/sagemaker/{kind}:*")
                for kind in ("TrainingJobs", "TransformJobs")
            ]
            + [account.arn("logs", f"log-group:/aws/codebuild/{prefix}-image-*:*")],
        ),
        *_keys(account),
    )  # fmt: skip


def _scale(account: Account, endpoints: Sequence[str]) -> list[Statement]:
    only_sagemaker = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked = account.role_arn(
        f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    alarms = [f"{name}-*" for name in endpoints]
    alarms += [f"TargetTracking-endpoint/{name}/*" for name in endpoints]
    return [
        _allow(
            "ScaleEndpoints",
            sorted(action for action in UNSCOPED if action.startswith("application-autoscaling:")),
            "*",
            only_sagemaker,
        ),
        _allow(
            "LetAutoscalingWork",
            "iam:CreateServiceLinkedRole",
            linked,
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
        _allow(
            "KeepAlarms",
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
            ],
            [account.arn("cloudwatch", f"alarm:{name}") for name in alarms],
        ),
    ]


def _build(account: Account, repository: str) -> list[Statement]:
    return [
        _allow(
            "KeepTheImage",
            [
                *_PULL, "ecr:BatchDeleteImage", "ecr:CompleteLayerUpload", "ecr:CreateRepository",
                "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:InitiateLayerUpload",
                "ecr:PutImage", "ecr:PutLifecyclePolicy", "ecr:TagResource",
                "ecr:UploadLayerPart",
            ],
            account.arn("ecr", f"repository/{repository}"),
        ),
        _allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        _allow(
            "BuildTheImage",
            [
                "codebuild:BatchGetBuilds", "codebuild:BatchGetProjects",
                "codebuild:CreateProject", "codebuild:StartBuild",
            ],
            account.arn("codebuild", f"project/{account.cloud.prefix}-image-*"),
        ),
    ]  # fmt: skip


def _launch(account: Account, roles: Sequence[str]) -> list[Statement]:
    ours = {"StringEquals": {"aws:RequestTag/project": account.cloud.tags.get("project", "")}}
    made = [account.arn("ec2", f"{kind}/*") for kind in ("instance", "volume")]
    used = [
        account.arn("ec2", f"{kind}/*")
        for kind in ("network-interface", "security-group", "subnet", "spot-instances-request")
    ]
    images = f"arn:{account.partition}:ec2:{account.region}::image/*"
    parameters = f"arn:{account.partition}:ssm:{account.region}::parameter/aws/service/*"
    profiles = [
        f"arn:{account.partition}:iam::{account.id}:instance-profile/{role}" for role in roles
    ]
    return [
        _allow("LaunchOurMachines", "ec2:RunInstances", made, ours),
        _allow("LaunchWith", "ec2:RunInstances", [*used, images]),
        _allow(
            "TagAtLaunch",
            "ec2:CreateTags",
            made,
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        _allow(
            "EndOurMachines",
            "ec2:TerminateInstances",
            account.arn("ec2", "instance/*"),
            {
                "StringEquals": {
                    "aws:ResourceTag/project": account.cloud.tags.get("project", ""),
                }
            },
        ),
        _allow("FindMachineImages", "ssm:GetParameter", parameters),
        _allow("LookAtProfiles", "iam:GetInstanceProfile", profiles),
        _allow(
            "LookAtTheNetwork",
            [
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcEndpoints",
            ],
            "*",
        ),
    ]


def _policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(
    sid: str,
    actions: str | Sequence[str],
    resources: str | Sequence[str],
    condition: dict[str, Any] | None = None,
) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions if isinstance(actions, str) else list(actions),
        "Resource": resources if isinstance(resources, str) else list(resources),
        **({"Condition": condition} if condition else {}),
    }


def _below(account: Account, *parts: str) -> list[str]:
    start = f"arn:{account.partition}:s3:::{account.bucket}/{account.cloud.prefix}"
    return [f"{start}/{part}/*" for part in parts]


def _list_below(account: Account) -> Statement:
    return _allow(
        "ListOurPrefix",
        "s3:ListBucket",
        f"arn:{account.partition}:s3:::{account.bucket}",
        {"StringLike": {"s3:prefix": [account.cloud.prefix, f"{account.cloud.prefix}/*"]}},
    )


def _read(account: Account, *parts: str) -> Statement:
    return _allow("Read", "s3:GetObject", _below(account, *parts))


def _write(account: Account, *parts: str) -> Statement:
    actions = ["s3:AbortMultipartUpload", "s3:PutObject"]
    return _allow("Write", actions, _below(account, *parts))


def _write_log(account: Account, groups: Sequence[str]) -> Statement:
    arns = [account.arn("logs", f"log-group:{group}:*") for group in groups]
    return _allow("WriteLogs", _WRITE_LOG, arns)


def _log_and_measure(account: Account, groups: Sequence[str]) -> list[Statement]:
    namespaces = ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/Endpoints", "AWS/SageMaker"]
    return [
        _write_log(account, groups),
        _allow(
            "Measure",
            "cloudwatch:PutMetricData",
            "*",
            {"StringEquals": {"cloudwatch:namespace": namespaces}},
        ),
    ]


def _pull(account: Account, image: str) -> list[Statement]:
    """Pulling `ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG`; nothing for public images."""
    registry, _, name = image.partition("/")
    owner, _, rest = registry.partition(".dkr.ecr.")
    if not rest:
        return []
    region = rest.partition(".")[0]
    repository = name.partition("@")[0].partition(":")[0]
    arn = f"arn:{account.partition}:ecr:{region}:{owner}:repository/{repository}"
    return [
        _allow("PullTheImage", _PULL, arn),
        _allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
    ]


def _in_vpc(account: Account) -> list[Statement]:
    """What a job inside a VPC needs for its network interfaces; nothing outside of one.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    """
    if not account.cloud.subnets:
        return []
    subnets = [account.arn("ec2", f"subnet/{name}") for name in account.cloud.subnets]
    groups = [
        account.arn("ec2", f"security-group/{name}") for name in account.cloud.security_groups
    ]
    interfaces = account.arn("ec2", "network-interface/*")
    return [
        _allow(
            "AttachToTheVpc",
            [
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            [*subnets, *groups, interfaces],
        ),
        _allow(
            "LookAtTheVpc",
            [
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            "*",
        ),
    ]


def _keys(account: Account) -> list[Statement]:
    if not account.cloud.kms_key:
        return []
    actions = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
    return [_allow("UseTheKey", actions, account.cloud.kms_key)]
