"""Statements that IAM policies are built from.

The resource `*` is only used for actions in `UNSCOPED`, with a condition if IAM has one.
https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import json
from collections.abc import Sequence
from typing import Any

from aws.account import Account
from aws.s3_layout import DATA

Policy = dict[str, Any]
Statement = dict[str, Any]

UNSCOPED = {
    "application-autoscaling:DeleteScheduledAction", "application-autoscaling:DeleteScalingPolicy",
    "application-autoscaling:DeregisterScalableTarget",
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingActivities",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions", "application-autoscaling:PutScalingPolicy",
    "application-autoscaling:PutScheduledAction", "application-autoscaling:RegisterScalableTarget",
    "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:PutMetricData",
    "ec2:DescribeImages",
    "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs", "ec2:DescribeDhcpOptions",
    "ecr:GetAuthorizationToken",
    "lambda:GetAccountSettings", "logs:DescribeIndexPolicies", "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies", "pricing:GetProducts",
    "s3:ListAllMyBuckets", "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
    "sagemaker:ListHyperParameterTuningJobs", "sagemaker:ListModels", "sagemaker:ListTrainingJobs",
    "sagemaker:ListTransformJobs", "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    "xray:PutTelemetryRecords", "xray:PutTraceSegments",
}  # fmt: skip
"""Actions that IAM cannot restrict to a resource: only `*` is valid."""

USE_KEY = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
SESSION_MANAGER = [
    "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
]  # fmt: skip
PULL = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def policy(*statements: Statement) -> Policy:
    """Return the policy document of `statements`."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


# Characters without white space of a managed policy, of all inline policies of a role, and of its
# trust policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_CHARACTERS = 6_144
INLINE_ROLE_CHARACTERS = 10_240
TRUST_CHARACTERS = 2_048


def characters(document: Policy) -> int:
    """Return the size of a policy as IAM counts it."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def split(document: Policy) -> list[Policy]:
    """Return the statements of `document`, in order, as managed policies within IAM's limit."""
    parts = [policy()]
    for statement in document["Statement"]:
        grown = policy(*parts[-1]["Statement"], statement)
        if characters(grown) > MANAGED_CHARACTERS:
            parts.append(policy(statement))
        else:
            parts[-1] = grown
    return parts


def allow(
    sid: str,
    actions: str | Sequence[str],
    resources: str | Sequence[str],
    condition: dict[str, Any] | None = None,
) -> Statement:
    """Return a statement that allows `actions` on `resources`, under an IAM `condition`."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": actions if isinstance(actions, str) else list(actions),
        "Resource": resources if isinstance(resources, str) else list(resources),
        **({"Condition": condition} if condition else {}),
    }


def deny(sid: str, actions: Sequence[str], resources: str | Sequence[str]) -> Statement:
    """Return a statement that denies `actions` on `resources`, whatever else allows them."""
    return {**allow(sid, actions, resources), "Effect": "Deny"}


def below(account: Account, *parts: str) -> list[str]:
    """Return the ARNs of all objects below `parts` of the prefix."""
    start = f"arn:{account.partition}:s3:::{account.bucket}/{account.settings.prefix}"
    return [f"{start}/{part}/*" for part in parts]


def list_below(account: Account) -> Statement:
    """Allow listing the objects below the prefix."""
    return allow(
        "ListOurPrefix",
        "s3:ListBucket",
        f"arn:{account.partition}:s3:::{account.bucket}",
        {"StringLike": {"s3:prefix": [account.settings.prefix, f"{account.settings.prefix}/*"]}},
    )


def read(account: Account, *parts: str) -> Statement:
    """Allow reading the objects below `parts` of the prefix."""
    return allow("Read", "s3:GetObject", below(account, *parts))


def write(account: Account, *parts: str) -> Statement:
    """Allow writing objects below `parts` of the prefix."""
    actions = ["s3:AbortMultipartUpload", "s3:PutObject"]
    return allow("Write", actions, below(account, *parts))


def write_log(account: Account, groups: Sequence[str]) -> Statement:
    """Allow writing to log groups."""
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    arns = [account.arn("logs", f"log-group:{group}:*") for group in groups]
    return allow("WriteLogs", actions, arns)


def log_and_measure(account: Account, groups: Sequence[str]) -> list[Statement]:
    """Allow writing to log groups, and metrics to SageMaker's namespaces."""
    namespaces = ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/TransformJobs"]
    namespaces += ["/aws/sagemaker/Endpoints", "AWS/SageMaker"]
    condition = {"StringEquals": {"cloudwatch:namespace": namespaces}}
    return [
        write_log(account, groups),
        allow("Measure", "cloudwatch:PutMetricData", "*", condition),
    ]


def pull(account: Account, owner: str, region: str, repository: str) -> list[Statement]:
    """Allow pulling images from an ECR repository of the account `owner`."""
    arn = f"arn:{account.partition}:ecr:{region}:{owner}:repository/{repository}"
    return [
        allow("PullTheImage", PULL, arn),
        allow("LogInToEcr", "ecr:GetAuthorizationToken", "*"),
    ]


def in_vpc(account: Account) -> list[Statement]:
    """Allow a job to manage its network interfaces in the VPC of [aws]; [] without a VPC.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    """
    if not account.settings.subnets:
        return []
    subnets = [f"subnet/{name}" for name in account.settings.subnets]
    groups = [f"security-group/{name}" for name in account.settings.security_groups]
    resources = [*subnets, *groups, "network-interface/*"]
    return [
        allow(
            "AttachToTheVpc",
            [
                "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission",
            ],
            [account.arn("ec2", name) for name in resources],
        ),
        allow(
            "LookAtTheVpc",
            [
                "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
            ],
            "*",
        ),
    ]  # fmt: skip


def use_keys(account: Account) -> list[Statement]:
    """Allow using the KMS key of [aws]; [] without a key."""
    if not account.settings.kms_key:
        return []
    return [allow("UseTheKey", USE_KEY, account.settings.kms_key)]


def read_elsewhere(account: Account, uri: str, key: str) -> list[Statement]:
    """Allow reading the photos at an S3 URI that `read` does not cover, and using their KMS key.

    This is the reader's side of access across accounts: the policies of the bucket and of the key
    must allow it, too. [] for photos where `upload` copies them.
    """
    if not uri or f"{uri.rstrip('/')}/".startswith(f"{account.uri(DATA)}/"):
        return []
    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    arn = f"arn:{account.partition}:s3:::{bucket}"
    prefixes = [prefix, f"{prefix}/*"] if prefix else ["*"]
    return [
        allow("ListPhotos", "s3:ListBucket", arn, {"StringLike": {"s3:prefix": prefixes}}),
        allow("ReadPhotos", "s3:GetObject", f"{arn}/{prefix}/*" if prefix else f"{arn}/*"),
        *([allow("DecryptPhotos", ["kms:Decrypt", "kms:DescribeKey"], key)] if key else []),
    ]


def account_root(account: Account, owner: str) -> Statement:
    """Return the principal of an account, in whose name its administrators allow its users."""
    return {"Principal": {"AWS": f"arn:{account.partition}:iam::{owner}:root"}}
