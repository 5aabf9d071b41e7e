"""The IAM policy of people who train the model and operate the endpoint."""

from collections.abc import Sequence

from aws import log_groups, policy_statements, stages
from aws.account import Account
from aws.policy_statements import PULL, UNSCOPED, Policy, Statement, allow, deny
from aws.settings import FitSettings
from ops.iam import stage_statements

_UNSCOPED_READS = [
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingActivities",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints", "ecr:GetAuthorizationToken", "logs:DescribeLogGroups",
    "pricing:GetProducts", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
    "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModels",
    "sagemaker:ListTrainingJobs", "sagemaker:ListTransformJobs",
]  # fmt: skip


def policy(account: Account, repository: str, roles: Sequence[str]) -> Policy:
    """Return all statements of `documents` as one policy, which is larger than IAM allows."""
    parts = documents(account, repository, roles).values()
    return policy_statements.policy(*(each for part in parts for each in part["Statement"]))


def documents(account: Account, repository: str, roles: Sequence[str]) -> dict[str, Policy]:
    """Return the policies by name; `roles` are the service roles that operators pass on.

    Each fits IAM's limit for a managed policy, and operators need all of them. They allow writing
    no role's policy, because whoever may write one can grant themselves everything. An
    administrator creates the roles once, with `policy --role NAME --apply`.
    """
    named = {}
    for topic, statements in _topics(account, repository, roles).items():
        parts = policy_statements.split(policy_statements.policy(*statements))
        for number, part in enumerate(parts, 1):
            suffix = f"-{number}" if number > 1 else ""
            named[f"{prefix(account)}{topic}{suffix}"] = part
    return named


def prefix(account: Account) -> str:
    """Return what the names of all policies of operators begin with."""
    return f"{account.settings.prefix}-operator-"


def _topics(account: Account, repository: str, roles: Sequence[str]) -> dict[str, list[Statement]]:
    # SageMaker lowercases endpoint names in ARNs; IAM compares case-sensitively
    endpoints = [stages.read(name).endpoint.lower() for name in stages.names()]
    fit = FitSettings.read()
    return {
        "storage": [
            *_protect_releases(account),
            *_storage(account),
            *policy_statements.read_elsewhere(account, fit.data, fit.data_key)[:1],
            *policy_statements.use_keys(account),
        ],
        "training": [
            _jobs(account),
            *_roles(account, roles),
            *_ec2(account, roles),
            _logs(account, [stages.read(name).endpoint for name in stages.names()]),
            allow("ReadUnscoped", _UNSCOPED_READS, "*"),
        ],
        "serving": [
            _endpoints(account, endpoints),
            *_scaling(account),
            *_image(account, repository),
        ],
        "stages": [*stage_statements.look(account), *stage_statements.change(account, repository)],
    }


def _protect_releases(account: Account) -> list[Statement]:
    """Deny what would change a release, even if another policy of the operator allows it.

    Only an administrator creates and configures the bucket: its policy protects the releases.
    """
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    functions = [stages.read(name).function for name in stages.names()]
    releases = policy_statements.below(account, "api")
    alarms = [account.arn("cloudwatch", f"alarm:{function}-api-*") for function in functions]
    return [
        deny(
            "LeaveReleases",
            [
                "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject", "s3:PutObjectAcl",
                "s3:PutObjectTagging", "s3:ReplicateObject",
            ],
            releases,
        ),
        deny(
            "LeaveBucket",
            [
                "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketAcl",
                "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock", "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
                "s3:PutReplicationConfiguration",
            ],
            bucket,
        ),
        deny("LeaveAlarms", ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"], alarms),
    ]  # fmt: skip


def _storage(account: Account) -> list[Statement]:
    bucket = f"arn:{account.partition}:s3:::{account.bucket}"
    return [
        allow(
            "ReadBucket",
            ["s3:GetBucketPolicy", "s3:GetBucketLocation", "s3:ListBucket"],
            bucket,
        ),
        allow(
            "ManageObjects",
            ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            f"{bucket}/{account.settings.prefix}/*",
        ),
    ]


def _jobs(account: Account) -> Statement:
    prefix = account.settings.prefix.lower()
    jobs = [
        account.arn("sagemaker", f"{kind}/{prefix}-*")
        for kind in ("training-job", "hyper-parameter-tuning-job", "transform-job")
    ]
    return allow(
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
    )  # fmt: skip


def _endpoints(account: Account, endpoints: Sequence[str]) -> Statement:
    served = [
        *(account.arn("sagemaker", f"endpoint/{name}") for name in endpoints),
        *(account.arn("sagemaker", f"endpoint-config/{name}-*") for name in endpoints),
        *(account.arn("sagemaker", f"model/{name}-*") for name in endpoints),
    ]
    return allow(
        "ManageEndpoints",
        [
            "sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig",
            "sagemaker:CreateModel", "sagemaker:DeleteEndpoint",
            "sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel",
            "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeModel", "sagemaker:InvokeEndpoint", "sagemaker:ListTags",
            "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
        ],
        served,
    )  # fmt: skip


def _roles(account: Account, roles: Sequence[str]) -> list[Statement]:
    arns = [account.role_arn(role) for role in roles]
    services = ["sagemaker.amazonaws.com", "codebuild.amazonaws.com", "ec2.amazonaws.com"]
    passed = {"StringEquals": {"iam:PassedToService": services}}
    return [
        allow("PassRoles", "iam:PassRole", arns, passed),
        allow("ReadRoles", ["iam:GetRole", "iam:GetRolePolicy"], arns),
    ]


def _scaling(account: Account) -> list[Statement]:
    only_sagemaker = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    service = "sagemaker.application-autoscaling.amazonaws.com"
    linked_role = account.role_arn(
        f"aws-service-role/{service}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    scaling = {name for name in UNSCOPED if name.startswith("application-autoscaling:")}
    all_stages = [stages.read(name) for name in stages.names()]
    # alarms keep the case of names
    alarms = [f"{stage.endpoint}-*" for stage in all_stages]
    alarms += [f"TargetTracking-endpoint/{stage.endpoint}/*" for stage in all_stages]
    topics = [account.arn("sns", f"{stage.function}-alarms") for stage in all_stages]
    return [
        # the condition is documented for writes only
        allow("ScaleEndpoints", sorted(scaling - set(_UNSCOPED_READS)), "*", only_sagemaker),
        allow(
            "CreateScalingRole",
            "iam:CreateServiceLinkedRole",
            linked_role,
            {"StringEquals": {"iam:AWSServiceName": service}},
        ),
        allow(
            "ManageAlarms",
            [
                "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms",
                "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource",
            ],
            [account.arn("cloudwatch", f"alarm:{name}") for name in alarms],
        ),
        allow("FindAlarmTopics", "sns:GetTopicAttributes", topics),
    ]  # fmt: skip


def _image(account: Account, repository: str) -> list[Statement]:
    return [
        allow(
            "ManageImages",
            [
                *PULL, "ecr:BatchDeleteImage", "ecr:CompleteLayerUpload", "ecr:CreateRepository",
                "ecr:DescribeImages", "ecr:DescribeRepositories", "ecr:InitiateLayerUpload",
                "ecr:PutImage", "ecr:PutLifecyclePolicy", "ecr:TagResource",
                "ecr:UploadLayerPart",
            ],
            account.arn("ecr", f"repository/{repository}"),
        ),
        allow(
            "BuildImages",
            [
                "codebuild:BatchGetBuilds", "codebuild:BatchGetProjects",
                "codebuild:CreateProject", "codebuild:StartBuild",
            ],
            account.arn("codebuild", f"project/{account.settings.prefix}-image-*"),
        ),
    ]  # fmt: skip


def _ec2(account: Account, roles: Sequence[str]) -> list[Statement]:
    project = account.settings.tags.get("project", "")
    created = [account.arn("ec2", f"{kind}/*") for kind in ("instance", "volume")]
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
        allow(
            "LaunchInstances",
            "ec2:RunInstances",
            created,
            {"StringEquals": {"aws:RequestTag/project": project}},
        ),
        allow("LaunchWith", "ec2:RunInstances", [*used, images]),
        allow(
            "TagAtLaunch",
            "ec2:CreateTags",
            created,
            {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        ),
        allow(
            "TerminateInstances",
            "ec2:TerminateInstances",
            account.arn("ec2", "instance/*"),
            {"StringEquals": {"aws:ResourceTag/project": project}},
        ),
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html
        allow(
            "OpenShells",
            "ssm:StartSession",
            account.arn("ec2", "instance/*"),
            {"StringEquals": {"ssm:resourceTag/project": project}},
        ),
        allow(
            "UseShells",
            "ssm:StartSession",
            account.arn("ssm", "document/SSM-SessionManagerRunShell"),
        ),
        allow(
            "CloseOwnShells",
            ["ssm:ResumeSession", "ssm:TerminateSession"],
            account.arn("ssm", "session/${aws:username}-*"),
        ),
        allow(
            "CreateSpotRole",
            "iam:CreateServiceLinkedRole",
            account.role_arn("aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"),
            {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}},
        ),
        allow("FindMachineImages", "ssm:GetParameter", parameters),
        allow("ReadProfiles", "iam:GetInstanceProfile", profiles),
    ]


def _logs(account: Account, endpoints: Sequence[str]) -> Statement:
    groups = [
        log_groups.TRAINING,
        log_groups.TRANSFORM,
        *map(log_groups.endpoint_group, endpoints),
        log_groups.codebuild_group(f"{account.settings.prefix}-image-*"),
    ]
    return allow(
        "ManageLogs",
        [
            "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DescribeLogStreams",
            "logs:GetLogEvents", "logs:PutRetentionPolicy", "logs:TagResource",
        ],
        [account.arn("logs", f"log-group:{group}:*") for group in groups],
    )  # fmt: skip
