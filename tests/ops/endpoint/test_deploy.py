"""Deployments: create, update, roll back, and what a failure leaves."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from aws.instance_types import architecture
from ops.endpoint.model_archive import pack
from tests import tiny_model
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Change, Command

NAME = "whatbreed-dev"


def describe() -> dict[str, Any]:
    return dict(boto3.client("sagemaker").describe_endpoint(EndpointName=NAME))


def everything() -> list[list[str]]:
    """The names of all models, configs and endpoints."""
    sagemaker = boto3.client("sagemaker")
    return [
        [model["ModelName"] for model in sagemaker.list_models()["Models"]],
        [
            config["EndpointConfigName"]
            for config in sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ],
        [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]],
    ]


def test_first_time_creates(release: Any) -> None:
    outcome = release()
    assert outcome.code == 0, outcome.err
    endpoint = describe()
    assert endpoint["EndpointStatus"] == "InService"
    sagemaker = boto3.client("sagemaker")
    config = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    [variant] = config["ProductionVariants"]
    assert variant["InstanceType"] == "ml.c6i.large"
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    assert model["EnableNetworkIsolation"] is True
    assert model["ExecutionRoleArn"].endswith(":role/whatbreed-serving")
    container = model["PrimaryContainer"]
    assert "/whatbreed-serving@sha256:" in container["Image"]
    assert container["ModelDataUrl"].startswith(f"s3://{BUCKET}/whatbreed/models/")
    tags = sagemaker.list_tags(ResourceArn=endpoint["EndpointArn"])["Tags"]
    assert {"Key": "project", "Value": "whatbreed"} in tags
    alarms = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert {alarm["AlarmName"] for alarm in alarms} == {f"{NAME}-latency", f"{NAME}-errors"}
    latency = next(alarm for alarm in alarms if alarm["MetricName"] == "ModelLatency")
    assert latency["Threshold"] == 1_000_000  # microseconds


def test_the_same_again_changes_nothing(release: Any) -> None:
    release()
    before = everything()
    outcome = release()
    assert outcome.code == 0
    assert "already serves" in outcome.out
    assert everything() == before


def test_update_and_rollback(release: Any, command: Command, other_model: Path) -> None:
    release("--instance-count", 4)
    first = describe()["EndpointConfigName"]
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model)
    assert outcome.code == 0, outcome.err
    endpoint = describe()
    second = endpoint["EndpointConfigName"]
    assert second != first
    [variant] = endpoint["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 4  # scaling's count outlives the update
    rollout = endpoint["LastDeploymentConfig"]
    routing = rollout["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "CANARY"
    assert routing["CanarySize"] == {"Type": "CAPACITY_PERCENT", "Value": 25}
    alarms = rollout["AutoRollbackConfiguration"]["Alarms"]
    assert [alarm["AlarmName"] for alarm in alarms] == [f"{second}-latency", f"{second}-errors"]

    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 0, outcome.err
    assert describe()["EndpointConfigName"] == first
    command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert describe()["EndpointConfigName"] == second


def test_older_versions_are_deleted(release: Any, command: Command, tmp_path: Path) -> None:
    release()
    for version in ("2", "3", "4"):
        model = tiny_model.write(tmp_path / version, version=version)
        assert command("ops", "endpoint", "deploy", "--stage", "dev", "--model", model).code == 0
    models, configs, endpoints = everything()
    assert (len(models), len(configs), endpoints) == (2, 2, [NAME])


def test_rolling(release: Any, command: Command, other_model: Path) -> None:
    release("--instance-count", 4)
    command(
        "ops",
        "endpoint",
        "deploy",
        "--stage",
        "dev",
        "--model",
        other_model,
        "--rollout",
        "rolling",
    )
    policy = describe()["LastDeploymentConfig"]["RollingUpdatePolicy"]
    assert policy["MaximumBatchSize"] == {"Type": "CAPACITY_PERCENT", "Value": 25}


def test_a_single_instance_is_not_split(release: Any, command: Command, other_model: Path) -> None:
    release()
    command("ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model)
    policy = describe()["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"


def test_a_failed_update_keeps_the_old_version(
    release: Any, command: Command, other_model: Path, emulator: State
) -> None:
    release()
    before, config = everything(), describe()["EndpointConfigName"]
    emulator.endpoint_failure = "The alarm whatbreed-dev-errors\n went off"
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model)
    assert outcome.code == 1
    assert "alarm whatbreed-dev-errors went off" in outcome.err
    assert f"{config} keeps serving" in outcome.err
    assert describe()["EndpointConfigName"] == config
    assert everything() == before


def test_a_failed_creation_leaves_nothing(release: Any, emulator: State) -> None:
    emulator.endpoint_failure = "The container did not pass the ping health check"
    outcome = release()
    assert outcome.code == 1
    assert "did not pass the ping" in outcome.err
    assert everything() == [[], [], []]
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    emulator.endpoint_failure = ""
    assert release().code == 0


def test_a_refused_endpoint_leaves_nothing(release: Any, emulator: State) -> None:
    refusal = ("ResourceLimitExceeded", "0 instances of ml.c6i.large")
    emulator.refused["CreateEndpoint"] = refusal
    outcome = release()
    assert outcome.code == 1
    assert "Service Quotas" in outcome.err
    assert everything() == [[], [], []]
    assert boto3.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_a_refused_config_takes_the_model_along(release: Any, emulator: State) -> None:
    emulator.refused["CreateEndpointConfig"] = ("ValidationException", "wrong instance type")
    outcome = release()
    assert outcome.code == 1
    assert "wrong instance type" in outcome.err
    assert everything() == [[], [], []]


def test_what_cannot_be_removed_is_reported(release: Any, emulator: State) -> None:
    emulator.refused["CreateEndpoint"] = ("ResourceLimitExceeded", "0 instances")
    emulator.refused["DeleteModel"] = ("AccessDeniedException", "not allowed")
    outcome = release()
    assert outcome.code == 1
    assert "Service Quotas" in outcome.err
    assert "Some resources are left: DeleteModel is not allowed" in outcome.out
    assert "python -m ops endpoint teardown --stage dev" in outcome.out


def test_an_endpoint_whose_creation_failed_is_replaced(release: Any, emulator: State) -> None:
    emulator.endpoint_failure = "The container did not pass the ping health check"
    assert release("--detach").code == 0
    assert describe()["EndpointStatus"] == "Failed"
    emulator.endpoint_failure = ""
    outcome = release()
    assert outcome.code == 0, outcome.err
    assert describe()["EndpointStatus"] == "InService"


def test_serverless(release: Any, small_images: None) -> None:
    graviton = ("--instance-type", "ml.c7g.large")  # serverless inference runs on x86
    assert release("--serverless", "true", "--capture-percent", 10, *graviton).code == 0
    name = describe()["EndpointConfigName"]
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    [variant] = config["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
    assert "DataCaptureConfig" not in config  # not supported by serverless inference
    model = boto3.client("sagemaker").describe_model(ModelName=variant["ModelName"])
    assert model["EnableNetworkIsolation"] is False  # not supported either


def test_data_capture_and_keys(release: Any, key: str) -> None:
    assert release("--capture-percent", 10).code == 0
    name = describe()["EndpointConfigName"]
    config = boto3.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)
    capture = config["DataCaptureConfig"]
    assert capture["InitialSamplingPercentage"] == 10
    assert capture["DestinationS3Uri"] == f"s3://{BUCKET}/whatbreed/captured/{NAME}"
    assert config["KmsKeyId"] == key


def test_dry_run_changes_nothing(release: Any) -> None:
    outcome = release("--dry-run")
    assert outcome.code == 0
    assert "would create endpoint whatbreed-dev" in outcome.out
    assert everything() == [[], [], []]
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=BUCKET)


def test_a_graviton_type_needs_an_arm64_image(release: Any) -> None:
    outcome = release("--instance-type", "ml.c7g.large")
    assert outcome.code == 1
    assert "image --architecture arm64" in outcome.err


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("ml.c7g.large", "arm64"),
        ("ml.m6gd.xlarge", "arm64"),
        ("c6gn.xlarge", "arm64"),
        ("ml.c6i.large", "amd64"),
        ("ml.g5.xlarge", "amd64"),
        ("ml.inf2.xlarge", "amd64"),
    ],
)
def test_architectures(instance_type: str, expected: str) -> None:
    assert architecture(instance_type) == expected


def test_errors_of_the_user(command: Command, bucket: str, image: str, tmp_path: Path) -> None:
    assert "local, dev" in command("ops", "endpoint", "deploy", "--stage", "nope").err
    assert (
        "model.json is missing"
        in command("ops", "endpoint", "deploy", "--stage", "dev", "--model", tmp_path).err
    )
    assert (
        "deploy a model first"
        in command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback").err
    )
    assert (
        "rollout"
        in command("ops", "endpoint", "deploy", "--stage", "dev", "--rollout", "sideways").err
    )
    both = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback", "--job", "x")
    assert (both.code, "exclude each other" in both.err) == (2, True)


def test_dry_run_in_an_empty_account(command: Command, emulator: State) -> None:
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "before that: ECR has no amd64 image" in outcome.out
    assert "would create endpoint whatbreed-dev" in outcome.out


def test_what_is_not_given_stays(release: Any, other_model: Path, command: Command) -> None:
    assert release("--instance-type", "ml.c6i.xlarge", "--capture-percent", 5).code == 0
    deploy = ("ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model)
    assert command(*deploy).code == 0
    sagemaker = boto3.client("sagemaker")
    config = sagemaker.describe_endpoint_config(EndpointConfigName=describe()["EndpointConfigName"])
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c6i.xlarge"
    assert config["DataCaptureConfig"]["InitialSamplingPercentage"] == 5
    assert command(*deploy, "--capture-percent", 0, "--instance-type", "ml.c6i.large").code == 0
    config = sagemaker.describe_endpoint_config(EndpointConfigName=describe()["EndpointConfigName"])
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c6i.large"
    assert "DataCaptureConfig" not in config


def test_serverless_stays(
    release: Any, other_model: Path, command: Command, small_images: None
) -> None:
    assert release("--serverless", "true", "--serverless-memory-mb", 2048).code == 0
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--model", other_model)
    assert outcome.code == 0, outcome.err
    config = boto3.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=describe()["EndpointConfigName"]
    )
    serverless = config["ProductionVariants"][0]["ServerlessConfig"]
    assert serverless["MemorySizeInMB"] == 2048


def test_rollback_without_a_previous_version(release: Any, command: Command) -> None:
    release()
    outcome = command("ops", "endpoint", "deploy", "--stage", "dev", "--rollback")
    assert outcome.code == 1
    assert "no version before" in outcome.err


def test_packing_is_reproducible(tiny_model_dir: Path) -> None:
    assert pack(tiny_model_dir) == pack(tiny_model_dir)


def test_json_is_all_of_stdout(release: Any) -> None:
    assert release("--json").json["EndpointStatus"] == "InService"


def test_the_settings_of_the_stage(release: Any, change_settings: Change) -> None:
    change_settings("stage.prod.serving", instance_count=3)
    change_settings("stage.dev.serving", instance_count=2)
    assert release().code == 0
    [variant] = describe()["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2
