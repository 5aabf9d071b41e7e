"""The rules of jobs, machines, buckets, keys and builds: what they refuse and accept."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws import roles as roles_library
from tests.aws_rules import requests
from tests.aws_rules.requests import channel, resources
from tests.emulator.fixtures import BUCKET, Command

KEY = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000001"
ALIAS = "alias/mine"
Call = Callable[..., Any]


@pytest.fixture
def create(bucket: str, roles: None) -> Call:
    """Call an operation of a service in an account with data, a model and roles."""
    requests.put_data()
    boto3.client("iam").create_role(
        RoleName="whatbreed-codebuild",
        AssumeRolePolicyDocument=json.dumps(roles_library.trust("codebuild.amazonaws.com")),
    )

    def create(service: str, operation: str, parameters: dict[str, Any]) -> Any:
        return boto3.client(service)._make_api_call(operation, parameters)

    return create


def refused(call: Call, service: str, operation: str, request: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError) as raised:
        call(service, operation, request)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"TrainingJobName": "a_b"}, "trainingJobName"),
        ({"TrainingJobName": "a" * 64}, "trainingJobName"),
        ({"HyperParameters": {str(n): "1" for n in range(101)}}, "hyperParameters"),
        ({"HyperParameters": {"a": "x" * 2501}}, "hyperParameters"),
        ({"HyperParameters": {"a" * 257: "x"}}, "hyperParameters"),
        ({"Environment": {f"A{n}": "1" for n in range(101)}}, "environment"),
        ({"Environment": {"1A": "1"}}, "environment"),
        ({"ResourceConfig": resources(InstanceType="ml.g5.xlarge", VolumeKmsKeyId=ALIAS)}, "local"),
        ({"ResourceConfig": resources(InstanceType="ml.g5.xlarge", VolumeSizeInGB=251)}, "251"),
        ({"ResourceConfig": resources(VolumeSizeInGB=16_385)}, "16385"),
        ({"ResourceConfig": resources(InstanceType="ml.c5.huge")}, "enum"),
        ({"ResourceConfig": resources(VolumeKmsKeyId=KEY)}, "does not exist"),
        ({"ResourceConfig": resources(KeepAlivePeriodInSeconds=3601)}, "3601"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2_419_201}}, "28 days"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59},
            },
            "MaxWaitTimeInSeconds",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "EnableManagedSpotTraining",
        ),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
                "ResourceConfig": resources(KeepAlivePeriodInSeconds=60),
            },
            "Warm pools",
        ),
        (
            {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/c", "LocalPath": "/opt/ml/model"}},
            "reserved",
        ),
        ({"InputDataConfig": [channel(), channel()]}, "unique"),
        ({"InputDataConfig": [channel(uri=f"s3://{BUCKET}/nothing")]}, "No S3 objects"),
        ({"InputDataConfig": [channel(uri="s3://missing/data")]}, "No S3 objects"),
        ({"RoleArn": f"{requests.ROLE}-missing"}, "Could not assume role"),
        (
            {"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "do not exist",
        ),
        (
            {
                "VpcConfig": {
                    "Subnets": ["subnet-1"],
                    "SecurityGroupIds": [f"sg-{n}" for n in range(6)],
                }
            },
            "do not exist",
        ),
        ({"Tags": [{"Key": "aws:x", "Value": "1"}]}, "reserved"),
        ({"Tags": [{"Key": str(n), "Value": "1"} for n in range(51)]}, "50"),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "x",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": str(n), "Regex": "x"} for n in range(41)],
                }
            },
            "metricDefinitions",
        ),
    ],
)
def test_training_jobs(create: Call, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError) as raised:
        create("sagemaker", "CreateTrainingJob", requests.training_job(**changes))
    assert text.lower() in str(raised.value).lower()
    create("sagemaker", "CreateTrainingJob", requests.training_job())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"MaxConcurrentTransforms": 17, "MaxPayloadInMB": 6}, "100 MB"),
        ({"MaxPayloadInMB": 101}, "100 MB"),
        ({"ModelName": "missing"}, "Could not find model"),
        ({"TransformJobName": "a" * 64}, "TransformJobName"),
        ({"Environment": {f"A{n}": "1" for n in range(17)}}, "Environment"),
        (
            {
                "TransformResources": {
                    "InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeKmsKeyId": ALIAS,
                }
            },
            "local storage",
        ),
    ],
)  # fmt: skip
def test_transform_jobs(create: Call, changes: dict[str, Any], text: str) -> None:
    refused(create, "sagemaker", "CreateTransformJob", requests.transform_job(**changes), text)
    create("sagemaker", "CreateTransformJob", requests.transform_job())


@pytest.mark.parametrize(
    ("manifest", "accepted"),
    [
        ([{"prefix": f"s3://{BUCKET}/data/"}, "1.jpg"], True),
        ([{"prefix": f"s3://{BUCKET}/data/"}, "2.jpg"], False),
        ([{"prefix": f"s3://{BUCKET}/data/"}], False),
        (["data/1.jpg"], False),
    ],
)
def test_manifests(create: Call, manifest: list[Any], accepted: bool) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="m", Body=json.dumps(manifest).encode())
    source = {"S3DataType": "ManifestFile", "S3Uri": f"s3://{BUCKET}/m"}
    request = requests.transform_job(TransformInput={"DataSource": {"S3DataSource": source}})
    if accepted:
        create("sagemaker", "CreateTransformJob", request)
    else:
        refused(create, "sagemaker", "CreateTransformJob", request, "manifest")


CATEGORIES = {"CategoricalParameterRanges": [{"Name": "c", "Values": ["1", "2"]}]}


def continuous(**changes: Any) -> dict[str, Any]:
    each = {"Name": "r", "MinValue": "0.1", "MaxValue": "1", **changes}
    return {"ParameterRanges": {"ContinuousParameterRanges": [each]}}


def limits(most: int, parallel: int) -> dict[str, Any]:
    counts = {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel}
    return {"ResourceLimits": counts}


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (limits(2, 3), "MaxParallelTrainingJobs"),
        (limits(751, 3), "750"),
        (limits(200, 101), "100"),
        (continuous(MinValue="2"), "below MaxValue"),
        (continuous(MinValue="0", ScalingType="Logarithmic"), "above 0"),
        ({"Strategy": "Grid"}, "categorical"),
        ({"Strategy": "Grid", "ParameterRanges": CATEGORIES}, "all combinations"),
        ({"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, "Off"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "x"}},
            "no metric definition",
        ),
        (
            {
                "ParameterRanges": {
                    "CategoricalParameterRanges": [{"Name": "c", "Values": list("abcd" * 8)}]
                }
            },
            "",
        ),
    ],
)
def test_tuning_jobs(create: Call, config: dict[str, Any], text: str) -> None:
    operation = "CreateHyperParameterTuningJob"
    refused(create, "sagemaker", operation, requests.tuning_job(**config), text)
    create("sagemaker", operation, requests.tuning_job())


def test_a_tuning_job_has_no_warm_pool(create: Call) -> None:
    definition = {"ResourceConfig": resources(KeepAlivePeriodInSeconds=60)}
    request = requests.tuning_job(definition)
    refused(create, "sagemaker", "CreateHyperParameterTuningJob", request, "Warm pools")


def root_volume(size: int) -> dict[str, Any]:
    return {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": size}}]}


def tagged(*tags: tuple[str, str]) -> dict[str, Any]:
    pairs = [{"Key": key, "Value": value} for key, value in tags]
    return {"TagSpecifications": [{"ResourceType": "instance", "Tags": pairs}]}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"UserData": "x" * 16_385}, "16384"),
        ({"ImageId": "ami-12345678"}, "InvalidAMIID.NotFound"),
        (root_volume(14), "smaller than snapshot"),
        (root_volume(65_537), "65537"),
        ({"InstanceType": "c7g.xlarge"}, "does not match the architecture"),
        ({"InstanceType": "a1.xlarge"}, "does not match the architecture"),
        ({"IamInstanceProfile": {"Name": "missing"}}, "Invalid IAM Instance Profile"),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "service-linked role"),
        ({"MinCount": 2}, "MinCount"),
        (tagged(("aws:x", "1")), "reserved"),
        (tagged(("k" * 129, "1")), "128"),
        (tagged(("k", "v" * 257)), "256"),
        ({"TagSpecifications": 2 * tagged(("a", "b"))["TagSpecifications"]}, "Duplicate"),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "HopLimit"),
        ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup"),
    ],
)
def test_instances(create: Call, changes: dict[str, Any], text: str) -> None:
    refused(create, "ec2", "RunInstances", requests.instances(**changes), text)
    create("ec2", "RunInstances", requests.instances())


def test_an_instance_profile_is_seen_after_some_seconds(create: Call) -> None:
    iam = boto3.client("iam")
    iam.create_instance_profile(InstanceProfileName="p")
    request = requests.instances(IamInstanceProfile={"Name": "p"})
    refused(create, "ec2", "RunInstances", request, "Invalid IAM Instance Profile")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="whatbreed-training")
    refused(create, "ec2", "RunInstances", request, "Invalid IAM Instance Profile")
    create("ec2", "RunInstances", request)


def environment(**changes: Any) -> dict[str, Any]:
    return {"environment": requests.project()["environment"] | changes}


def variables(*names: str, value: str = "x") -> dict[str, Any]:
    return environment(environmentVariables=[{"name": name, "value": value} for name in names])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"timeoutInMinutes": 2161}, "5 and 2160"),
        ({"queuedTimeoutInMinutes": 481}, "5 and 480"),
        ({"name": "a b"}, "name"),
        ({"name": "a" * 151}, "name"),
        (variables("1A"), "1A"),
        (variables("CODEBUILD_X"), "CODEBUILD_"),
        (variables("A", value="x" * 5500), "5,500"),
        (environment(type="ARM_CONTAINER"), "does not run on"),
        ({"source": {"type": "S3", "location": "s3://b/x.zip"}}, "BUCKET/KEY"),
        ({"serviceRole": requests.ROLE}, "not authorized to perform: sts:AssumeRole"),
    ],
)
def test_builds(create: Call, changes: dict[str, Any], text: str) -> None:
    refused(create, "codebuild", "CreateProject", requests.project(**changes), text)
    create("codebuild", "CreateProject", requests.project())


@pytest.mark.parametrize(
    ("service", "operation", "request_", "text"),
    [
        ("ecr", "CreateRepository", {"repositoryName": "Upper"}, "repositoryName"),
        ("ecr", "CreateRepository", {"repositoryName": "a" * 257}, "repositoryName"),
        ("logs", "CreateLogGroup", {"logGroupName": "aws/x"}, "aws/"),
        ("logs", "CreateLogGroup", {"logGroupName": "a b"}, "logGroupName"),
        ("logs", "CreateLogGroup", {"logGroupName": "a" * 513}, "logGroupName"),
        ("logs", "PutRetentionPolicy", {"logGroupName": "g", "retentionInDays": 31}, "31"),
        ("s3", "PutObject", {"Bucket": BUCKET, "Key": "k" * 1025, "Body": b""}, "KeyTooLong"),
        (
            "s3",
            "PutObject",
            {"Bucket": BUCKET, "Key": "k", "Body": b"", "Metadata": {"a": "x" * 2048}},
            "MetadataTooLarge",
        ),
        (
            "s3",
            "HeadBucket",
            {"Bucket": BUCKET, "ExpectedBucketOwner": "210987654321"},
            "AccessDenied",
        ),
        ("kms", "CreateKey", {"Policy": json.dumps({"Statement": []})}, "will not allow you"),
    ],
)
def test_other_requests(
    create: Call, service: str, operation: str, request_: dict[str, Any], text: str
) -> None:
    refused(create, service, operation, request_, text)


def selection(**changes: Any) -> dict[str, Any]:
    days = {"countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}
    return {"tagStatus": "untagged", **days, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"tagStatus": "tagged"},
        {"tagStatus": "none"},
        {"countUnit": "weeks"},
        {"countType": "imageCountMoreThan"},
        {"countNumber": 0},
    ],
)
def test_lifecycle_policies(create: Call, changes: dict[str, Any]) -> None:
    create("ecr", "CreateRepository", {"repositoryName": "r1"})

    def policy(chosen: dict[str, Any]) -> dict[str, Any]:
        rule = {"rulePriority": 1, "selection": chosen, "action": {"type": "expire"}}
        return {"repositoryName": "r1", "lifecyclePolicyText": json.dumps({"rules": [rule]})}

    refused(create, "ecr", "PutLifecyclePolicy", policy(selection(**changes)), "validation failure")
    create("ecr", "PutLifecyclePolicy", policy(selection()))


def test_a_bucket_with_a_disabled_key(create: Call, key: str, command: Command) -> None:
    assert command("training", "upload", "--create-bucket").code == 0
    request = {"Bucket": BUCKET, "Key": "k", "Body": b"x"}
    create("s3", "PutObject", request)
    boto3.client("kms").disable_key(KeyId=key.rpartition("/")[2])
    refused(create, "s3", "PutObject", request, "is Disabled")
    refused(create, "s3", "GetObject", {"Bucket": BUCKET, "Key": "k"}, "is Disabled")


def test_a_key_that_is_being_deleted(create: Call, key: str) -> None:
    boto3.client("kms").schedule_key_deletion(KeyId=key.rpartition("/")[2])
    request = requests.training_job(ResourceConfig=resources(VolumeKmsKeyId=key))
    refused(create, "sagemaker", "CreateTrainingJob", request, "PendingDeletion")
