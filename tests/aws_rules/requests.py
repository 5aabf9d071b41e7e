"""Requests that AWS accepts, in an account that has what they name, for tests that change them."""

from typing import Any

import boto3

from tests.emulator.fixtures import ACCOUNT, BUCKET

ROLE = f"arn:aws:iam::{ACCOUNT}:role/whatbreed-training"
MODEL = "model"


def put_data() -> None:
    """Put a photo where the jobs read, and a model where transform jobs find it."""
    boto3.client("s3").put_object(Bucket=BUCKET, Key="data/1.jpg", Body=b"x")
    boto3.client("sagemaker").create_model(
        ModelName=MODEL, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "registry.example/i"}
    )


def training_job(**changes: Any) -> dict[str, Any]:
    """Return a request of CreateTrainingJob."""
    return {"TrainingJobName": "job", **_definition(), "HyperParameters": {"a": "1"}, **changes}


def tuning_job(definition: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """Return a request of CreateHyperParameterTuningJob, with changes of its parts."""
    job = _definition()
    job["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "top1", "Regex": "top1=(.*)"}]
    return {
        "HyperParameterTuningJobName": "job",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "top1"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {
                "ContinuousParameterRanges": [{"Name": "r", "MinValue": "0.1", "MaxValue": "1"}]
            },
            **config,
        },
        "TrainingJobDefinition": job | (definition or {}),
    }


def transform_job(**changes: Any) -> dict[str, Any]:
    """Return a request of CreateTransformJob."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}
    return {
        "TransformJobName": "job",
        "ModelName": MODEL,
        "TransformInput": {"DataSource": source},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "TransformResources": {"InstanceType": "ml.c6i.large", "InstanceCount": 1},
        **changes,
    }


def resources(**changes: Any) -> dict[str, Any]:
    """Return a ResourceConfig."""
    return {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50, **changes}


def channel(**changes: Any) -> dict[str, Any]:
    """Return a channel of S3 data; `uri` is its address."""
    uri = changes.pop("uri", f"s3://{BUCKET}/data")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}
    return {"ChannelName": "training", "DataSource": source, **changes}


def instances(**changes: Any) -> dict[str, Any]:
    """Return a request of RunInstances for an image that moto has."""
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    image = boto3.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    request = {"ImageId": image, "InstanceType": "c5.xlarge", "MinCount": 1, "MaxCount": 1}
    return {**request, **changes}


def project(**changes: Any) -> dict[str, Any]:
    """Return a request of CreateProject."""
    return {
        "name": "project",
        "source": {"type": "S3", "location": f"{BUCKET}/context.zip"},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        "serviceRole": f"arn:aws:iam::{ACCOUNT}:role/whatbreed-codebuild",
        **changes,
    }


def _definition() -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel()],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": resources(),
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
