"""Teardown: everything that costs money is removed, in any state, and the rest is listed."""

from pathlib import Path

import boto3
import pytest

from tests.emulator.fixtures import BUCKET, Command
from tests.ops.endpoint.test_deploy import everything
from tests.ops.endpoint.test_scaling import state


@pytest.fixture
def stage(command: Command, serving_role: None, image: str, tiny_model_dir: Path) -> None:
    """An endpoint of stage dev that scales, and one of stage prod."""
    for name in ("dev", "prod"):
        command("ops", "endpoint", "deploy", "--stage", name, "--model", tiny_model_dir)
    command("ops", "endpoint", "scale", "--stage", "dev")


def test_everything_of_the_stage_and_nothing_else(stage: None, command: Command) -> None:
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev")
    assert outcome.code == 0, outcome.err
    models, configs, endpoints = everything()
    assert endpoints == ["whatbreed-prod"]
    assert [name.rpartition("-")[0] for name in models + configs] == ["whatbreed-prod"] * 2
    assert state() == {"targets": [], "policies": [], "schedules": []}
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"] for alarm in alarms} == {
        "whatbreed-prod-latency",
        "whatbreed-prod-errors",
    }
    assert "per month" in outcome.out
    assert f"s3://{BUCKET}/whatbreed/models" in outcome.out


def test_twice(stage: None, command: Command) -> None:
    command("ops", "endpoint", "teardown", "--stage", "dev")
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev")
    assert outcome.code == 0
    assert "nothing of whatbreed-dev is left" in outcome.out


def test_dry_run(stage: None, command: Command) -> None:
    before = everything()
    removed = command("ops", "endpoint", "teardown", "--stage", "dev", "--dry-run", "--json").json[
        "removed"
    ]
    assert removed[:2] == ["autoscaling of whatbreed-dev", "endpoint whatbreed-dev"]
    assert removed[-1] == "log group /aws/sagemaker/Endpoints/whatbreed-dev"
    assert len(removed) == 7
    assert everything() == before


def test_a_partly_removed_stage(stage: None, command: Command) -> None:
    """The endpoint was deleted in the console."""
    boto3.client("sagemaker").delete_endpoint(EndpointName="whatbreed-dev")
    assert command("ops", "endpoint", "teardown", "--stage", "dev").code == 0
    assert everything()[2] == ["whatbreed-prod"]
    assert state()["targets"] == []


def test_a_model_with_a_similar_name_is_kept(stage: None, command: Command) -> None:
    sagemaker = boto3.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/whatbreed-serving"
    sagemaker.create_model(
        ModelName="whatbreed-dev-mine",
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": "registry.example/own"},
    )
    command("ops", "endpoint", "teardown", "--stage", "dev")
    assert "whatbreed-dev-mine" in everything()[0]


def test_all_ends_jobs_and_checkpoints(bucket: str, roles: None, command: Command) -> None:
    s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
    for key in ("jobs/a/input/code/x.py", "jobs/a/output/model.tar.gz", "checkpoints/fit/c.pt"):
        s3.put_object(Bucket=bucket, Key=f"whatbreed/{key}", Body=b"x")
    sagemaker.create_training_job(
        TrainingJobName="whatbreed-fit-1",
        AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::123456789012:role/whatbreed-training",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}"},
        ResourceConfig={
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
            "KeepAlivePeriodInSeconds": 600,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev", "--all")
    assert outcome.code == 0, outcome.err
    assert "removed warm pool of whatbreed-fit-1" in outcome.out
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["whatbreed/jobs/a/output/model.tar.gz"]
    assert "nothing of" in command("ops", "endpoint", "teardown", "--stage", "dev", "--all").out


def test_all_ends_our_ec2_instances(bucket: str, command: Command) -> None:
    ec2 = boto3.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    tags = [{"Key": "Name", "Value": "whatbreed-big"}, {"Key": "project", "Value": "whatbreed"}]
    for specification in ([{"ResourceType": "instance", "Tags": tags}], []):
        ec2.run_instances(
            ImageId=image,
            InstanceType="c5.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=specification,
        )
    assert "EC2" not in command("ops", "endpoint", "teardown", "--stage", "dev").out
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev", "--all")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("removed EC2 instance i-") == 1
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    [other] = ec2.describe_instances(Filters=running)["Reservations"]
    assert not other["Instances"][0].get("Tags")


def test_log_groups_are_removed_or_listed(stage: None, command: Command) -> None:
    logs = boto3.client("logs")
    for name in (
        "/aws/codebuild/whatbreed-image-amd64",
        "/aws/codebuild/someone-elses",
        "/aws/sagemaker/TrainingJobs",
    ):
        logs.create_log_group(logGroupName=name)
    groups = {group["logGroupName"]: group for group in logs.describe_log_groups()["logGroups"]}
    assert groups["/aws/sagemaker/Endpoints/whatbreed-dev"]["retentionInDays"] == 90
    outcome = command("ops", "endpoint", "teardown", "--stage", "dev", "--all")
    assert outcome.code == 0, outcome.err
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == [
        "/aws/codebuild/someone-elses",
        "/aws/sagemaker/Endpoints/whatbreed-prod",
        "/aws/sagemaker/TrainingJobs",
    ]
    assert "log group /aws/sagemaker/TrainingJobs, kept forever" in outcome.out
