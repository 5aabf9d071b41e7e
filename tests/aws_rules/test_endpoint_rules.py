"""Rules about endpoints, rollouts, autoscaling and alarms refuse; valid calls pass."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import ACCOUNT, BUCKET, REGION

ROLE = f"arn:aws:iam::{ACCOUNT}:role/whatbreed-serving"
INSTANCES: dict[str, Any] = {"InstanceType": "ml.c5.large", "InitialInstanceCount": 4}
SERVERLESS: dict[str, Any] = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
TARGET: dict[str, Any] = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/e/variant/a",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
ALARM: dict[str, Any] = {
    "AlarmName": "x",
    "Namespace": "AWS/SageMaker",
    "MetricName": "ModelLatency",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
CANARY: dict[str, Any] = {"Type": "CANARY", "WaitIntervalInSeconds": 60}


def variant(name: str = "a", model: str = "m", **members: Any) -> dict[str, Any]:
    return {"VariantName": name, "ModelName": model, **(members or INSTANCES)}


def config(name: str, *variants: dict[str, Any], **members: Any) -> None:
    boto3.client("sagemaker").create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants), **members
    )


def model(name: str, **members: Any) -> None:
    boto3.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        **{"PrimaryContainer": {"Image": "registry.example/i"}, **members},
    )


@pytest.fixture
def models(roles: None, bucket: str) -> None:
    """A model m, one with network isolation, and one of three containers."""
    model("m")
    model("isolated", EnableNetworkIsolation=True)


@pytest.fixture
def endpoint(models: None, emulator: State) -> Callable[[], Any]:
    """An endpoint e of four instances in service; returns a call that describes it."""
    config("old", variant())
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="old")

    def describe() -> Any:
        return sagemaker.describe_endpoint(EndpointName="e")

    assert describe()["EndpointStatus"] == "Creating"
    assert describe()["EndpointStatus"] == "InService"
    return describe


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/x"}, "Could not assume role"),
        ({"PrimaryContainer": {"ModelDataUrl": "s3://b/m.tar.gz"}}, "needs Image"),
        ({"Containers": [{"Image": "i"}]}, "Exactly one of"),
        (
            {"PrimaryContainer": {"Image": "i", "ModelDataUrl": f"s3://{BUCKET}/no.tar.gz"}},
            "Could not find model data",
        ),
        ({"PrimaryContainer": {"Image": "i", "ModelDataUrl": f"s3://{BUCKET}/m.zip"}}, "gzip"),
        ({"ModelName": "-m"}, "regular expression"),
        ({"ModelName": 64 * "m"}, "length"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
    ],
)
def test_models(models: None, members: dict[str, Any], message: str) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="m.zip")
    name = members.pop("ModelName", "n")
    role = members.pop("ExecutionRoleArn", ROLE)
    container = members.pop("PrimaryContainer", {"Image": "i"})
    with pytest.raises(ClientError, match=message):
        boto3.client("sagemaker").create_model(
            ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container, **members
        )


@pytest.mark.parametrize(
    ("variants", "members", "message"),
    [
        ([variant(), variant()], {}, "must be unique"),
        ([variant(model="x")], {}, "Could not find model"),
        ([variant(InstanceType="ml.c5.large")], {}, "needs InstanceType and InitialInstanceCount"),
        ([variant(**INSTANCES, **SERVERLESS)], {}, "cannot be specified with ServerlessConfig"),
        ([variant(**INSTANCES, InitialVariantWeight=0.0)], {}, "weight above 0"),
        ([variant(InstanceType="ml.x9.large", InitialInstanceCount=1)], {}, "enum value set"),
        ([variant(**INSTANCES, ModelDataDownloadTimeoutInSeconds=3601)], {}, "between 60 and 3600"),
        (
            [variant(**INSTANCES, ContainerStartupHealthCheckTimeoutInSeconds=3601)],
            {},
            "between 60 and 3600",
        ),
        ([variant(**INSTANCES, VolumeSizeInGB=513)], {}, "between 1 and 512"),
        ([variant(name="a-")], {}, "regular expression"),
        (
            [variant(ServerlessConfig={"MemorySizeInMB": 2000, "MaxConcurrency": 1})],
            {},
            "multiple of 1024",
        ),
        (
            [variant(ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 201})],
            {},
            "between 1 and 200",
        ),
        (
            [variant(ServerlessConfig={
                "MemorySizeInMB": 2048, "MaxConcurrency": 5, "ProvisionedConcurrency": 6
            })],
            {},
            "above MaxConcurrency",
        ),
        ([variant(**SERVERLESS), variant("b", **SERVERLESS)], {}, "one production variant"),
        ([variant(model="isolated", **SERVERLESS)], {}, "network isolation"),
        (
            [variant(**SERVERLESS)],
            {"DataCaptureConfig": {
                "InitialSamplingPercentage": 1,
                "DestinationS3Uri": "s3://b/p",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            }},
            "not supported for serverless",
        ),
        (
            [variant()],
            {"DataCaptureConfig": {
                "InitialSamplingPercentage": 101,
                "DestinationS3Uri": "s3://b/p",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            }},
            "between 0 and 100",
        ),
        (
            [variant(InstanceType="ml.g5.xlarge", InitialInstanceCount=1)],
            {"KmsKeyId": "alias/k"},
            "local storage",
        ),
    ],
)  # fmt: skip
def test_configs(
    models: None, variants: list[dict[str, Any]], members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        config("c", *variants, **members)


def test_valid_configs(models: None) -> None:
    config("a", variant(), variant("b"))
    config("b", variant(**SERVERLESS), KmsKeyId="alias/k")


def blue_green(**routing: Any) -> dict[str, Any]:
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {**CANARY, **routing}}}


def size(value: int, kind: str = "CAPACITY_PERCENT") -> dict[str, Any]:
    return {"Type": kind, "Value": value}


def rolling(value: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": value, "WaitIntervalInSeconds": 60, **members,
        }
    }  # fmt: skip


def watched(*names: str) -> dict[str, Any]:
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in names]}}


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (blue_green(CanarySize=size(51)), "1 to 50 %"),
        (blue_green(CanarySize=size(3, "INSTANCE_COUNT")), "1 to 50 %"),
        (blue_green(), "CanarySize must be specified"),
        (blue_green(CanarySize=size(10), WaitIntervalInSeconds=3601), "between 0 and 3600"),
        (blue_green(Type="LINEAR", LinearStepSize=size(9)), "10 to 50 %"),
        (blue_green(Type="ALL_AT_ONCE", CanarySize=size(9)), "no other"),
        (rolling(size(4)), "5 to 50 %"),
        (rolling(size(3, "INSTANCE_COUNT")), "5 to 50 %"),
        (rolling(size(50), MaximumExecutionTimeoutInSeconds=28801), "between 600 and 28800"),
        ({**blue_green(CanarySize=size(25)), **rolling(size(25))}, "Only one update policy"),
        (watched("missing"), "Could not find alarm"),
        (watched("x"), "cloudwatch:DescribeAlarms"),
    ],
)
def test_deployments(endpoint: Any, deployment: dict[str, Any], message: str) -> None:
    boto3.client("cloudwatch").put_metric_alarm(**ALARM)
    config("new", variant())
    with pytest.raises(ClientError, match=message):
        boto3.client("sagemaker").update_endpoint(
            EndpointName="e", EndpointConfigName="new", DeploymentConfig=deployment
        )
    assert endpoint()["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    "deployment",
    [
        blue_green(CanarySize=size(2, "INSTANCE_COUNT")),
        blue_green(Type="LINEAR", LinearStepSize=size(10)),
        rolling(size(50), RollbackMaximumBatchSize=size(100)),
    ],
)
def test_valid_deployments(endpoint: Any, deployment: dict[str, Any]) -> None:
    config("new", variant())
    sagemaker = boto3.client("sagemaker")
    sagemaker.update_endpoint(
        EndpointName="e", EndpointConfigName="new", DeploymentConfig=deployment
    )
    with pytest.raises(ClientError, match="in-progress"):
        sagemaker.delete_endpoint(EndpointName="e")
    with pytest.raises(ClientError, match="in-progress"):
        sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="old")
    description = endpoint()
    assert description["EndpointStatus"] == "Updating"
    assert description["PendingDeploymentSummary"]["EndpointConfigName"] == "new"
    with pytest.raises(ClientError, match="in use"):
        sagemaker.delete_endpoint_config(EndpointConfigName="new")
    assert endpoint()["EndpointConfigName"] == "new"
    sagemaker.delete_endpoint_config(EndpointConfigName="old")


def test_updates_that_are_refused(endpoint: Any) -> None:
    sagemaker, scaling = boto3.client("sagemaker"), boto3.client("application-autoscaling")
    config("serverless", variant(**SERVERLESS))
    config("type", variant(InstanceType="ml.m5.large", InitialInstanceCount=4))
    config("name", variant("b"))
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    for name, members, message in (
        ("serverless", {}, "real-time to serverless"),
        ("type", {}, "Deregister it"),
        ("name", {}, "Deregister it"),
        ("name", {"DeploymentConfig": blue_green(CanarySize=size(25))}, "Deregister it"),
        ("missing", {}, "Could not find endpoint configuration"),
    ):
        with pytest.raises(ClientError, match=message):
            sagemaker.update_endpoint(EndpointName="e", EndpointConfigName=name, **members)
    scaling.deregister_scalable_target(**TARGET)
    with pytest.raises(ClientError, match="same variant names"):
        sagemaker.update_endpoint(
            EndpointName="e",
            EndpointConfigName="name",
            DeploymentConfig=blue_green(CanarySize=size(25)),
        )
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="type")


def test_failed_endpoints(models: None, emulator: State) -> None:
    sagemaker = boto3.client("sagemaker")
    config("c", variant())
    emulator.endpoint_failure = "no ping"
    sagemaker.create_endpoint(EndpointName="E", EndpointConfigName="c")
    with pytest.raises(ClientError, match="already existing endpoint"):
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    with pytest.raises(ClientError, match="in-progress"):
        sagemaker.delete_endpoint(EndpointName="E")
    sagemaker.describe_endpoint(EndpointName="E")
    description = sagemaker.describe_endpoint(EndpointName="E")
    assert (description["EndpointStatus"], description["FailureReason"]) == ("Failed", "no ping")
    assert "ProductionVariants" not in description
    with pytest.raises(ClientError, match="Cannot update"):
        sagemaker.update_endpoint(EndpointName="E", EndpointConfigName="c")
    sagemaker.delete_endpoint(EndpointName="E")
    assert sagemaker.describe_endpoint(EndpointName="E")["EndpointStatus"] == "Deleting"
    with pytest.raises(ClientError, match="Could not find"):
        sagemaker.describe_endpoint(EndpointName="E")


def test_new_resources_are_not_visible_at_once(models: None, emulator: State) -> None:
    emulator.lag = 1
    sagemaker = boto3.client("sagemaker")
    config("c", variant())
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")


TRACKING: dict[str, Any] = {
    "TargetValue": 40.0,
    "PredefinedMetricSpecification": {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    },
}


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("register_scalable_target", {"MinCapacity": 1}, "required"),
        ("register_scalable_target", {"MinCapacity": 3, "MaxCapacity": 2}, "max capacity"),
        ("register_scalable_target", {"MinCapacity": -1, "MaxCapacity": 2}, "between 0"),
        (
            "register_scalable_target",
            {"ResourceId": "endpoint/e/variant/b", "MinCapacity": 1, "MaxCapacity": 2},
            "variant doesn't exist",
        ),
        (
            "register_scalable_target",
            {"ResourceId": "endpoint/x/variant/a", "MinCapacity": 1, "MaxCapacity": 2},
            "Endpoint doesn't exist",
        ),
        (
            "register_scalable_target",
            {
                "ScalableDimension": "sagemaker:variant:DesiredProvisionedConcurrency",
                "MinCapacity": 1,
                "MaxCapacity": 2,
            },
            "does not apply",
        ),
        ("put_scaling_policy", {"PolicyName": "p"}, "No scalable target"),
        ("put_scheduled_action", {"ScheduledActionName": "s"}, "No scalable target"),
    ],
)
def test_scalable_targets(
    endpoint: Any, operation: str, members: dict[str, Any], message: str
) -> None:
    client = boto3.client("application-autoscaling")
    with pytest.raises(ClientError, match=message):
        getattr(client, operation)(**{**TARGET, **members})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"TargetValue": 0.0}, "out of range"),
        ({"ScaleInCooldown": -1}, "must not be negative"),
        (
            {
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
                }
            },
            "does not apply",
        ),
        ({"CustomizedMetricSpecification": {"MetricName": "m"}}, "either a predefined"),
    ],
)
def test_policies(endpoint: Any, members: dict[str, Any], message: str) -> None:
    client = boto3.client("application-autoscaling")
    client.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    policy = {**TARGET, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    with pytest.raises(ClientError, match=message):
        client.put_scaling_policy(
            **policy, TargetTrackingScalingPolicyConfiguration={**TRACKING, **members}
        )
    client.put_scaling_policy(**policy, TargetTrackingScalingPolicyConfiguration=TRACKING)
    with pytest.raises(ClientError, match="does not match the policy type"):
        client.put_scaling_policy(**TARGET, PolicyName="q", PolicyType="TargetTrackingScaling")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Schedule": "every day"}, "Invalid schedule"),
        ({"Schedule": "rate(0 days)"}, "Invalid schedule"),
        ({"Schedule": "cron(60 1 * * ? *)"}, "60 is not valid for minutes"),
        ({"Schedule": "cron(0 24 * * ? *)"}, "24 is not valid for hours"),
        ({"Schedule": "cron(0 1 * 13 ? *)"}, "13 is not valid for months"),
        ({"Schedule": "cron(0 1 ? * FOO *)"}, "FOO is not valid for days of week"),
        ({"ScalableTargetAction": {}}, "At least one"),
        ({"ScalableTargetAction": {"MinCapacity": 3, "MaxCapacity": 2}}, "max capacity"),
        ({"Timezone": "Mars/Olympus"}, "not a time zone"),
        ({"ScheduledActionName": "a|b"}, "regular expression"),
    ],
)
def test_scheduled_actions(endpoint: Any, members: dict[str, Any], message: str) -> None:
    client = boto3.client("application-autoscaling")
    client.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    action = {
        **TARGET,
        "ScheduledActionName": "night",
        "Schedule": "cron(0/15 22-23 ? * MON-FRI *)",
        "ScalableTargetAction": {"MinCapacity": 1},
    }
    client.put_scheduled_action(**action)
    with pytest.raises(ClientError, match=message):
        client.put_scheduled_action(**{**action, **members})
    client.deregister_scalable_target(**TARGET)
    assert client.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"] == []


def test_the_minimum_changes_the_number_of_instances(endpoint: Any) -> None:
    client = boto3.client("application-autoscaling")
    client.register_scalable_target(**TARGET, MinCapacity=6, MaxCapacity=8)
    assert endpoint()["EndpointStatus"] == "Updating"
    assert endpoint()["ProductionVariants"][0]["CurrentInstanceCount"] == 6


def test_burstable_types_and_serverless_do_not_scale(models: None) -> None:
    sagemaker, client = boto3.client("sagemaker"), boto3.client("application-autoscaling")
    config("t", variant(InstanceType="ml.t2.medium", InitialInstanceCount=1))
    config("s", variant(**SERVERLESS))
    for name, message in (("t", "does not support automatic scaling"), ("s", "does not apply")):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        target = {**TARGET, "ResourceId": f"endpoint/{name}/variant/a"}
        with pytest.raises(ClientError, match=message):
            client.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ExtendedStatistic": "p99"}, "either Statistic or ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "not valid"),
        ({"Statistic": None, "ExtendedStatistic": "99"}, "not valid"),
        ({"Period": 45}, "multiple of 60"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "longer than allowed"),
        ({"Period": 86400, "EvaluationPeriods": 8}, "longer than allowed"),
        ({"DatapointsToAlarm": 3}, "at most EvaluationPeriods"),
        ({"TreatMissingData": "ok"}, "must be one of"),
        ({"Threshold": None}, "Specify Threshold"),
        ({"AlarmName": "a\tb"}, "control characters"),
        ({"AlarmName": 256 * "a"}, "length"),
        ({"ComparisonOperator": "Above"}, "enum value set"),
        ({"AlarmActions": ["arn:aws:sqs:us-east-1:123456789012:q"]}, "Invalid arn"),
        ({"AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:t"]}, "Invalid region"),
        ({"AlarmActions": 6 * ["arn:aws:sns:us-east-1:123456789012:t"]}, "length"),
        ({"Dimensions": 2 * [{"Name": "a", "Value": "b"}]}, "given twice"),
        ({"Dimensions": [{"Name": str(n), "Value": "b"} for n in range(31)]}, "length"),
        ({"MetricName": None}, "Specify one of"),
    ],
)
def test_alarms(aws: None, members: dict[str, Any], message: str) -> None:
    alarm = {key: value for key, value in {**ALARM, **members}.items() if value is not None}
    with pytest.raises(ClientError, match=message):
        boto3.client("cloudwatch").put_metric_alarm(**alarm)


def test_valid_alarms(aws: None) -> None:
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(**ALARM, AlarmActions=[f"arn:aws:sns:{REGION}:{ACCOUNT}:t"])
    of_percentile = {key: value for key, value in ALARM.items() if key != "Statistic"}
    cloudwatch.put_metric_alarm(**of_percentile, ExtendedStatistic="p99.9")


def test_the_role_may_see_the_alarms(endpoint: Any) -> None:
    names = [f"a{number}" for number in range(11)]
    for name in names:
        boto3.client("cloudwatch").put_metric_alarm(**{**ALARM, "AlarmName": name})
    statement = {
        "Effect": "Allow",
        "Action": "cloudwatch:DescribeAlarms",
        "Resource": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:a*",
    }
    boto3.client("iam").put_role_policy(
        RoleName="whatbreed-serving",
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    config("new", variant())
    update = boto3.client("sagemaker").update_endpoint
    with pytest.raises(ClientError, match="length between 1 and 10"):
        update(EndpointName="e", EndpointConfigName="new", DeploymentConfig=watched(*names))
    update(EndpointName="e", EndpointConfigName="new", DeploymentConfig=watched(*names[:10]))
