"""What who runs the cloud commands may do: the policy of a person, or of a pipeline."""

from collections.abc import Sequence

from aws import policy_statements, stages
from aws.account import Account
from aws.policy_statements import Policy, Statement


def policy(account: Account, repository: str, roles: Sequence[str]) -> Policy:
    """What who runs these commands may do; `roles` are the names of the roles it hands out.

    It can write no policy of a role: who could, could give itself everything. The roles of `ec2`
    and `image` are therefore made once by an administrator, with `policy --role ec2 --apply` and
    `policy --role codebuild --apply`; the commands then only look at them.
    """
    endpoints = [stages.read(name).endpoint.lower() for name in stages.names()]
    prefix = account.settings.prefix.lower()
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
    return policy_statements.policy(
        policy_statements.allow(
            "KeepTheBucket",
            [
                "s3:CreateBucket", "s3:GetBucketPolicy", "s3:GetBucketLocation", "s3:ListBucket",
                "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock",
                "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
            ],
            bucket,
        ),
        policy_statements.allow(
            "KeepTheObjects",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            f"{bucket}/{account.settings.prefix}/*",
        ),
        policy_statements.allow(
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
        policy_statements.allow(
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
        policy_statements.allow(
            "List",
            [
                "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
                "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModels",
                "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs",
            ],
            "*",
        ),
        policy_statements.allow(
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
        policy_statements.allow(
            "LookAtRoles",
            ["iam:GetRole", "iam:GetRolePolicy"],
            [account.role_arn(role) for role in roles],
        ),
        *_scale(account, endpoints),
        *_build(account, repository),
        *_launch(account, roles),
        policy_statements.allow(
            "ReadLogs",
            ["logs:DescribeLogStreams", "logs:GetLogEvents"],
            [
                account.arn("logs", f"log-group:/aws/sagemaker/{kind}:*")
                for kind in ("TrainingJobs", "TransformJobs")
            ]
            + [account.arn("logs", f"log-group:/aws/codebuild/{prefix}-image-*:*")],
        ),
        _read_metrics(),
        policy_statements.allow("ReadPrices", "pricing:GetProducts", "*"),
        *policy_statements.use_keys(account),
    )  # fmt: skip


def watching(account: Account) -> Policy:
    """What who only watches may do: read metrics, and look at the endpoints and their scaling."""
    endpoints = [stages.read(name).endpoint.lower() for name in stages.names()]
    return policy_statements.policy(
        _read_metrics(),
        policy_statements.allow(
            "LookAtTheEndpoints",
            ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"],
            [account.arn("sagemaker", f"endpoint/{name}") for name in endpoints]
            + [account.arn("sagemaker", f"endpoint-config/{name}-*") for name in endpoints],
        ),
        policy_statements.allow(
            "LookAtScaling",
            [
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
            ],
            "*",
        ),
    )


def _read_metrics() -> Statement:
    return policy_statements.allow("ReadMetrics", "cloudwatch:GetMetricData", "*")


def _scale(account: Account, endpoints: Sequence[str]) -> list[Statement]:
    only_sagemaker = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked = account.role_arn(
        f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    scaling = sorted(
        name for name in policy_statements.UNSCOPED if name.startswith("application-auto")
    )
    looks = [action for action in scaling if ":Describe" in action]
    changes = [action for action in scaling if action not in looks]
    alarms = [f"{name}-*" for name in endpoints]
    alarms += [f"TargetTracking-endpoint/{name}/*" for name in endpoints]
    return [
        policy_statements.allow("ScaleEndpoints", changes, "*", only_sagemaker),
        # The condition is documented for the changes; to look at other targets does no harm.
        policy_statements.allow("LookAtScaling", looks, "*"),
        policy_statements.allow(
            "LetAutoscalingWork",
            "iam:CreateServiceLinkedRole",
            linked,
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
        policy_statements.allow(
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
        policy_statements.allow(
            "KeepTheImage",
            [
                *policy_statements.PULL, "ecr:BatchDeleteImage", "ecr:CompleteLayerUpload",
                "ecr:CreateRepository",
                "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:InitiateLayerUpload",
                "ecr:PutImage", "ecr:PutLifecyclePolicy", "ecr:TagResource",
                "ecr:UploadLayerPart",
            ],
            account.arn("ecr", f"repository/{repository}"),
        ),
        policy_statements.allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
        policy_statements.allow(
            "BuildTheImage",
            [
                "codebuild:BatchGetBuilds", "codebuild:BatchGetProjects",
                "codebuild:CreateProject", "codebuild:StartBuild",
            ],
            account.arn("codebuild", f"project/{account.settings.prefix}-image-*"),
        ),
    ]  # fmt: skip


def _launch(account: Account, roles: Sequence[str]) -> list[Statement]:
    ours = {"StringEquals": {"aws:RequestTag/project": account.settings.tags.get("project", "")}}
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
        policy_statements.allow("LaunchOurMachines", "ec2:RunInstances", made, ours),
        policy_statements.allow("LaunchWith", "ec2:RunInstances", [*used, images]),
        policy_statements.allow(
            "TagAtLaunch",
            "ec2:CreateTags",
            made,
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        policy_statements.allow(
            "EndOurMachines",
            "ec2:TerminateInstances",
            account.arn("ec2", "instance/*"),
            {
                "StringEquals": {
                    "aws:ResourceTag/project": account.settings.tags.get("project", ""),
                }
            },
        ),
        policy_statements.allow("FindMachineImages", "ssm:GetParameter", parameters),
        policy_statements.allow("LookAtProfiles", "iam:GetInstanceProfile", profiles),
        policy_statements.allow(
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
