"""Scaling: limits, a target per minute, schedules; and what the numbers mean."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.endpoint import scaling
from tests.emulator.fixtures import Change, Command

PLACE = scaling.where("whatbreed-dev")


@pytest.fixture
def deployed(command: Command, bucket: str, image: str, tiny_model_dir: Path) -> None:
    """The endpoint whatbreed-dev, in service."""
    assert command("deploy", "--stage", "dev", "--model", tiny_model_dir).code == 0


def state() -> dict[str, Any]:
    client = boto3.client("application-autoscaling")
    return {
        "targets": client.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ],
        "policies": client.describe_scaling_policies(ServiceNamespace="sagemaker")[
            "ScalingPolicies"
        ],
        "schedules": client.describe_scheduled_actions(ServiceNamespace="sagemaker")[
            "ScheduledActions"
        ],
    }


def test_the_write_ups_settings(deployed: None, command: Command) -> None:
    """1 to 4 instances, 30 s for both cooldowns, a target of 70 a minute."""
    outcome = command(
        "scale", "--stage", "dev", "--min-instances", 1, "--max-instances", 4,
        "--scale-in-cooldown-s", 30, "--scale-out-cooldown-s", 30, "--target-per-minute", 70,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "1.16667 requests/s each" in outcome.out
    found = state()
    [target] = found["targets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    [policy] = found["policies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 70
    assert tracking["ScaleInCooldown"] == tracking["ScaleOutCooldown"] == 30
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"


@pytest.mark.parametrize("target", [10, 40, 59])
def test_a_target_that_looks_like_simultaneous_requests(
    deployed: None, command: Command, target: int
) -> None:
    outcome = command("scale", "--stage", "dev", "--target-per-minute", target)
    assert outcome.code == 2
    assert "requests per second" in outcome.err
    assert "--yes" in outcome.err
    assert state()["targets"] == []
    assert command("scale", "--stage", "dev", "--target-per-minute", target, "--yes").code == 0


def test_twice_is_once_and_schedules_come_and_go(
    deployed: None, command: Command, change_settings: Change
) -> None:
    night = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("cloud.scaling", schedules=[night])
    for _ in range(2):
        assert command("scale", "--stage", "dev").code == 0
    found = state()
    assert [len(found[key]) for key in ("targets", "policies", "schedules")] == [1, 1, 1]
    assert found["schedules"][0]["Schedule"] == "cron(0 22 * * ? *)"
    change_settings("cloud.scaling", schedules=[])
    command("scale", "--stage", "dev")
    assert state()["schedules"] == []


def test_off(deployed: None, command: Command) -> None:
    command("scale", "--stage", "dev")
    assert command("scale", "--stage", "dev", "--off").code == 0
    assert state() == {"targets": [], "policies": [], "schedules": []}
    assert "was not scaled" in command("scale", "--stage", "dev", "--off").out


def test_dry_run(deployed: None, command: Command) -> None:
    outcome = command("scale", "--stage", "dev", "--dry-run")
    assert "50 requests/s each" in outcome.out
    assert state()["targets"] == []


def test_nothing_half_made_stays(
    deployed: None, command: Command, change_settings: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("cloud.scaling", schedules=[bad])
    call = "botocore.client.BaseClient._make_api_call"
    import botocore.client

    original = botocore.client.BaseClient._make_api_call

    def refuse(self: Any, operation: str, request: Any) -> Any:
        if operation == "PutScheduledAction":
            error = {"Code": "ValidationException", "Message": "bad cron"}
            raise ClientError({"Error": error}, operation)
        return original(self, operation, request)

    monkeypatch.setattr(call, refuse)
    outcome = command("scale", "--stage", "dev")
    assert outcome.code == 1
    assert "bad cron" in outcome.err
    monkeypatch.setattr(call, original)
    assert state() == {"targets": [], "policies": [], "schedules": []}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--min-instances", "3", "--max-instances", "2"], "3 to 2"),
        (["--min-instances", "0"], "at least 1"),
        (["--target-per-minute", "fast"], "not float"),
        (["--target-per-minute", "-1", "--yes"], "not above 0"),
    ],
)
def test_wrong_options(aws: None, command: Command, options: list[str], told: str) -> None:
    outcome = command("scale", "--stage", "dev", *options)
    assert outcome.code == 2
    assert told in outcome.err


def test_no_endpoint(aws: None, command: Command) -> None:
    assert "deploy a model first" in command("scale", "--stage", "dev").err


def test_the_comments_say_per_minute_and_per_second() -> None:
    from training.settings import comments

    text = comments("cloud.scaling")["target_per_minute"]
    assert "PER MINUTE AND INSTANCE" in text
    assert "requests a second" in text
    assert ScalingSettings.read().scale_in_cooldown_s > 60
