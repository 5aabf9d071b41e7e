"""`training jobs`: durations, costs, and the speed-up of several instances."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from tests.emulator.fixtures import Command
from training.jobs import job_table

START = datetime(2026, 11, 21, tzinfo=UTC)
PRICES = {"ml.m5.xlarge": 0.36}.get


def job(name: str, instances: int, seconds: int, **more: Any) -> dict[str, Any]:
    """A completed job as DescribeTrainingJob returns it."""
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": "Completed",
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": instances},
        "HyperParameters": {"epochs": "5"},
        "TrainingStartTime": START,
        "TrainingEndTime": START + timedelta(seconds=seconds),
        "TrainingTimeInSeconds": seconds,
        "BillableTimeInSeconds": seconds,
        "FinalMetricDataList": [{"MetricName": "valid:top1", "Value": 0.87}],
        **more,
    }


def test_speed_up_and_efficiency() -> None:
    four, one = job_table.table([job("four", 4, 400), job("one", 1, 1200)], "valid:top1", PRICES)
    assert four["speed_up"] == pytest.approx(3)
    assert four["efficiency"] == pytest.approx(0.75)
    assert (one["speed_up"], one["efficiency"]) == (1, 1)
    assert four["billable_s"] == 1600
    assert four["cost_usd"] == pytest.approx(0.16)
    assert four["objective"] == 0.87


def test_no_speed_up() -> None:
    """944 s on five instances after 920 s on one: each instance trained the same model alone."""
    five, _ = job_table.table([job("five", 5, 944), job("one", 1, 920)], "valid:top1", PRICES)
    assert five["speed_up"] == pytest.approx(0.97, abs=0.01)
    assert five["efficiency"] == pytest.approx(0.19, abs=0.01)


def test_only_jobs_with_the_same_task_are_compared() -> None:
    other = job("one", 1, 1200, HyperParameters={"epochs": "6"})
    assert (
        job_table.table([job("four", 4, 400), other], "valid:top1", PRICES)[0]["speed_up"] is None
    )
    failed = job("one", 1, 12, TrainingJobStatus="Failed")
    assert (
        job_table.table([job("four", 4, 400), failed], "valid:top1", PRICES)[0]["speed_up"] is None
    )
    larger_steps = job("one", 1, 1200, HyperParameters={"epochs": "5", "batch-size": "32"})
    four, _ = job_table.table([job("four", 4, 400), larger_steps], "valid:top1", PRICES)
    assert four["speed_up"] == pytest.approx(3)


def test_spot_saving() -> None:
    spot = job("s", 2, 1000, EnableManagedSpotTraining=True, BillableTimeInSeconds=300)
    [row] = job_table.table([spot], "valid:top1", PRICES)
    assert row["spot_saving"] == pytest.approx(0.7)
    assert row["billable_s"] == 600
    text = job_table.render([row])
    assert "16:40" in text
    assert "70%" in text


def test_a_running_job_of_unknown_price() -> None:
    running = {
        "TrainingJobName": "r",
        "TrainingJobStatus": "InProgress",
        "ResourceConfig": {"InstanceType": "ml.x.large", "InstanceCount": 1},
    }
    [row] = job_table.table([running], "valid:top1", PRICES)
    assert (row["duration_s"], row["cost_usd"], row["objective"]) == (None, None, None)
    assert "InProgress" in job_table.render([row])


def test_the_command(roles: None, bucket: str, command: Command) -> None:
    assert command("training", "jobs").out == "no training jobs\n"
    boto3.client("sagemaker").create_training_job(
        TrainingJobName="whatbreed-fit-1",
        AlgorithmSpecification={"TrainingImage": "x", "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::123456789012:role/whatbreed-training",
        OutputDataConfig={"S3OutputPath": "s3://b"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    [row] = command("training", "jobs", "--json").json
    assert row["name"] == "whatbreed-fit-1"
    assert row["instances"] == 2
    assert "2 x ml.m5.large" in command("training", "jobs").out
    assert command("training", "jobs", "--follow", "whatbreed-fit-1").code == 0
    unknown = command("training", "jobs", "--follow", "nope").err
    assert "There is neither a job nor a run nope" in unknown
    unknown = command("training", "jobs", "--follow", "whatbreed-nope").err
    assert "Training job whatbreed-nope does not exist" in unknown
