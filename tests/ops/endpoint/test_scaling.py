"""Autoscaling: limits, a target per minute, schedules, and the explanation of the numbers."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from aws.settings import ScalingSettings
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import Change, Command


@pytest.fixture
def deployed(command: Command, serving_role: None, image: str, tiny_model_dir: Path) -> None:
    """The endpoint whatbreed-dev, in service."""
    assert (
        command("ops", "endpoint", "deploy", "--stage", "dev", "--model", tiny_model_dir).code == 0
    )


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


def test_options(deployed: None, command: Command) -> None:
    """1 to 4 instances, 30 s for both cooldowns, a target of 70 a minute."""
    outcome = command(
        "ops", "endpoint", "scale", "--stage", "dev", "--min-instances", 1, "--max-instances", 4,
        "--scale-in-cooldown-s", 30, "--scale-out-cooldown-s", 30, "--target-per-minute", 70,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "1.16667 requests/s per instance" in outcome.out
    scaling = state()
    [target] = scaling["targets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    [policy] = scaling["policies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 70
    assert tracking["ScaleInCooldown"] == tracking["ScaleOutCooldown"] == 30
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantInvocationsPerInstance"


@pytest.mark.parametrize("target", [10, 40, 59])
def test_a_target_that_looks_like_concurrent_requests(
    deployed: None, command: Command, target: int
) -> None:
    outcome = command("ops", "endpoint", "scale", "--stage", "dev", "--target-per-minute", target)
    assert outcome.code == 2
    assert "requests per second" in outcome.err
    assert "--yes" in outcome.err
    assert state()["targets"] == []
    assert (
        command(
            "ops", "endpoint", "scale", "--stage", "dev", "--target-per-minute", target, "--yes"
        ).code
        == 0
    )


def test_repeating_changes_nothing_and_old_schedules_are_deleted(
    deployed: None, command: Command, change_settings: Change
) -> None:
    night = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("scaling", schedules=[night])
    for _ in range(2):
        assert command("ops", "endpoint", "scale", "--stage", "dev").code == 0
    scaling = state()
    assert [len(scaling[key]) for key in ("targets", "policies", "schedules")] == [1, 1, 1]
    assert scaling["schedules"][0]["Schedule"] == "cron(0 22 * * ? *)"
    change_settings("scaling", schedules=[])
    command("ops", "endpoint", "scale", "--stage", "dev")
    assert state()["schedules"] == []


def test_off(deployed: None, command: Command) -> None:
    command("ops", "endpoint", "scale", "--stage", "dev")
    assert command("ops", "endpoint", "scale", "--stage", "dev", "--off").code == 0
    assert state() == {"targets": [], "policies": [], "schedules": []}
    assert (
        "has no autoscaling" in command("ops", "endpoint", "scale", "--stage", "dev", "--off").out
    )


def test_dry_run(deployed: None, command: Command) -> None:
    outcome = command("ops", "endpoint", "scale", "--stage", "dev", "--dry-run")
    assert "50 requests/s per instance" in outcome.out
    assert state()["targets"] == []


def test_a_failure_leaves_nothing_half_done(
    deployed: None, command: Command, change_settings: Change, emulator: State
) -> None:
    night = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("scaling", schedules=[night])
    emulator.refused["PutScheduledAction"] = ("ValidationException", "bad cron")
    outcome = command("ops", "endpoint", "scale", "--stage", "dev")
    assert outcome.code == 1
    assert "bad cron" in outcome.err
    assert state() == {"targets": [], "policies": [], "schedules": []}


def test_the_settings_of_the_stage(
    deployed: None, command: Command, change_settings: Change
) -> None:
    change_settings("scaling", max_instances=3)
    change_settings("stage.dev.scaling", max_instances=2)
    assert command("ops", "endpoint", "scale", "--stage", "dev").code == 0
    [target] = state()["targets"]
    assert target["MaxCapacity"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--min-instances", "3", "--max-instances", "2"],
            "min_instances 3 is above max_instances 2",
        ),
        (["--min-instances", "0"], "greater than or equal to 1"),
        (["--target-per-minute", "fast"], "valid number"),
        (["--target-per-minute", "-1", "--yes"], "greater than 0"),
    ],
)
def test_wrong_options(aws: None, command: Command, options: list[str], message: str) -> None:
    outcome = command("ops", "endpoint", "scale", "--stage", "dev", *options)
    assert outcome.code == 2
    assert message in outcome.err


def test_no_endpoint(aws: None, command: Command) -> None:
    assert "deploy a model first" in command("ops", "endpoint", "scale", "--stage", "dev").err


def test_the_help_says_per_minute_and_per_second(command: Command) -> None:
    text = " ".join(command("ops", "endpoint", "scale", "--help").out.split())
    assert "PER MINUTE and instance" in text
    assert "requests per second" in text
    assert ScalingSettings.read().scale_in_cooldown_s > 60


@pytest.mark.parametrize(
    ("settings", "limits", "tracking"),
    [
        ({"max_instances": 4, "target_per_minute": 40.0}, (1, 4), {"TargetValue": 40.0}),
        ({"max_instances": 3, "target_per_minute": 10.0}, (1, 3), {"TargetValue": 10.0}),
        (
            {
                "target_per_minute": 100.0,
                "scale_in_cooldown_s": 10,
                "scale_out_cooldown_s": 10,
            },
            (1, 4),
            {"TargetValue": 100.0, "ScaleInCooldown": 10, "ScaleOutCooldown": 10},
        ),
        ({"disable_scale_in": True}, (1, 4), {"DisableScaleIn": True}),
    ],
)
def test_scaling_of_published_reports_per_stage(
    deployed: None,
    command: Command,
    change_settings: Change,
    settings: dict[str, Any],
    limits: tuple[int, int],
    tracking: dict[str, Any],
) -> None:
    """1 to 4 instances at a target of 40, 1 to 3 at 10, 100 with 10 s cooldowns, no scale-in."""
    change_settings("stage.dev.scaling", **settings)
    change_settings("stage.prod.scaling", max_instances=9)
    outcome = command("ops", "endpoint", "scale", "--stage", "dev", "--yes")
    assert outcome.code == 0, outcome.err
    scaling = state()
    [target], [policy] = scaling["targets"], scaling["policies"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == limits
    applied = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking.items() <= applied.items()
    assert ("instances are only added" in outcome.out) == ("disable_scale_in" in settings)


def test_burstable_types(
    command: Command, serving_role: None, image: str, tiny_model_dir: Path
) -> None:
    options = ("--model", tiny_model_dir, "--instance-type", "ml.t2.medium")
    assert command("ops", "endpoint", "deploy", "--stage", "dev", *options).code == 0
    outcome = command("ops", "endpoint", "scale", "--stage", "dev")
    assert outcome.code == 1
    assert "ml.t2.medium does not support automatic scaling" in outcome.err


def test_an_option_changes_nothing_else(
    deployed: None, command: Command, change_settings: Change
) -> None:
    scale = ("ops", "endpoint", "scale", "--stage", "dev")
    night = {"name": "night", "cron": "0 22 * * ? *", "min": 1, "max": 1}
    change_settings("scaling", schedules=[night])
    assert command(*scale).code == 0
    options = ("--min-instances", 2, "--max-instances", 7, "--disable-scale-in", "true")
    assert command(*scale, *options, "--scale-in-cooldown-s", 120).code == 0
    change_settings("scaling", schedules=[])
    before = state()
    outcome = command(*scale, "--target-per-minute", 960)
    assert outcome.code == 0, outcome.err
    assert "2 to 7 instances, target 960" in outcome.out
    after = state()
    [target], [policy] = after["targets"], after["policies"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 7)
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 960
    assert (tracking["ScaleInCooldown"], tracking["DisableScaleIn"]) == (120, True)
    assert [each["ScheduledActionName"] for each in after["schedules"]] == ["night"]
    assert len(before["schedules"]) == 1
    outcome = command(*scale, "--min-instances", 8)
    assert "min_instances 8 is above max_instances 7" in outcome.err
    assert state()["targets"][0]["MinCapacity"] == 2
    assert command(*scale).code == 0  # applies the settings again
    assert state()["targets"][0]["MaxCapacity"] == 4
    assert state()["schedules"] == []


def test_a_low_target_is_confirmed_once(deployed: None, command: Command) -> None:
    scale = ("ops", "endpoint", "scale", "--stage", "dev")
    assert command(*scale, "--target-per-minute", 40, "--yes").code == 0
    outcome = command(*scale, "--max-instances", 3)
    assert outcome.code == 0, outcome.err
    assert command(*scale, "--target-per-minute", 30).code == 2
