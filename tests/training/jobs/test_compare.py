"""`training compare`: against the emulator, and for real on this machine."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Command
from training.run_result import Result

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
OPTIONS = ("--instance-type", "ml.m5.xlarge", "--epochs", 5)


@pytest.fixture
def uploaded(roles: None, bucket: str) -> str:
    put("whatbreed/data/train/A/1.jpg", b"x")
    return bucket


def put(key: str, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def jobs() -> list[dict[str, Any]]:
    sagemaker = boto3.client("sagemaker")
    return [
        sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        for each in sagemaker.list_training_jobs()["TrainingJobSummaries"]
    ]


@pytest.fixture
def run_jobs(emulator: State) -> None:
    """Let jobs take some time: 100 s to start, 20 s to download, 600 s / instances to train."""

    def take_time(job: dict[str, Any]) -> None:
        instances = job["ResourceConfig"]["InstanceCount"]
        folder = job["CheckpointConfig"]["S3Uri"].removeprefix(f"s3://{BUCKET}/")
        result = Result(10, 600 / instances, 30, 0.87, 1000, 5, instances, resumed=False)
        put(f"{folder}/result.json", result.json().encode())
        at, transitions = job["CreationTime"], []
        parts = {"Starting": 100, "Downloading": 20, "Training": 640 / instances + 50}
        for status, seconds in {**parts, "Uploading": 10}.items():
            end = at + timedelta(seconds=seconds)
            transitions.append({"Status": status, "StartTime": at, "EndTime": end})
            at = end
        trained_s = int((at - job["CreationTime"]).total_seconds()) - 100
        job |= {
            "SecondaryStatusTransitions": transitions,
            "TrainingEndTime": at,
            "TrainingTimeInSeconds": trained_s,
            "BillableTimeInSeconds": trained_s // 3,
        }

    emulator.on_training = take_time


def test_one_and_four_instances(
    uploaded: str, run_jobs: None, command: Command, tmp_path: Path
) -> None:
    chart = tmp_path / "chart.png"
    outcome = command("training", "compare", 1, 4, *OPTIONS, "--yes", "--plot", chart, "--json")
    assert outcome.code == 0, outcome.err
    one, four = outcome.json["runs"]
    assert (one["startup_s"], one["data_s"], one["training_s"]) == (150, 30, 600)
    assert one["export_s"] == 40
    assert four["total_s"] == pytest.approx(100 + 20 + 160 + 50 + 10)
    assert four["speed_up"] == pytest.approx(820 / 340)
    assert four["efficiency"] == pytest.approx(820 / 340 / 4)
    price = 0.23 / 3600  # of ml.m5.xlarge
    assert one["usd_on_demand"] == pytest.approx(720 * price, rel=0.05)
    assert four["usd_spot"] == pytest.approx(4 * 80 * price, rel=0.05)
    assert four["standard_error"] == pytest.approx(0.0106, abs=0.0002)
    assert "Train on 4 x ml.m5.xlarge: 2.4 times as fast" in outcome.json["recommendation"]
    assert Image.open(chart).format == "PNG"
    by_count = {job["ResourceConfig"]["InstanceCount"]: job for job in jobs()}
    assert by_count[1]["HyperParameters"] == {"epochs": "5"}
    assert by_count[4]["HyperParameters"] == {"epochs": "5", "batch-size": "8"}
    names = [one["run"], jobs()[0]["TrainingJobName"]]
    again = command("training", "compare", "--runs", *names)
    assert again.code == 0, again.err
    assert "start-up" in again.out
    assert len(jobs()) == 2


def test_a_comparison_with_ec2(uploaded: str, run_jobs: None, command: Command) -> None:
    summary = command("training", "compare", 1, *OPTIONS, "--ec2", "--dry-run").json
    assert [line["on"] for line in summary["runs"]] == ["1 x ml.m5.xlarge", "EC2 m5.xlarge"]
    assert summary["cost_at_most_usd"] == pytest.approx(4 * 0.23 + 8 * 0.192, abs=0.02)
    assert jobs() == []
    refused = command("training", "compare", 1, *OPTIONS, "--ec2")
    assert refused.code == 1
    assert "give --yes" in refused.err
    assert jobs() == []
    assert boto3.client("ec2").describe_instances()["Reservations"] == []


def test_a_comparison_that_was_started_before(
    uploaded: str, run_jobs: None, command: Command
) -> None:
    compare = ("training", "compare", *OPTIONS, "--name", "first", "--yes")
    assert command(*compare, 1).code == 0
    outcome = command(*compare, 1, 4)
    assert outcome.code == 0, outcome.err
    assert "Train on 4 x ml.m5.xlarge" in outcome.out
    assert {job["ResourceConfig"]["InstanceCount"] for job in jobs()} == {1, 4}
    again = command(*compare, 1, 4, "--json")
    assert [run["run"] for run in again.json["runs"]] == ["first-1", "first-4"]
    assert "all runs were started before" in again.err
    assert len(jobs()) == 2
    dry = command(*compare, 1, 2, "--ec2", "--dry-run").json
    assert [line["run"] for line in dry["runs"]] == ["first-2", "first-ec2"]
    refused = command(*compare, 1, "--local", "--photos", ".")
    assert "--name names jobs in AWS" in refused.err


def test_a_refused_job_stops_the_others(
    uploaded: str, emulator: State, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.refused["RunInstances"] = ("MaxSpotInstanceCountExceeded", "quota")
    outcome = command("training", "compare", 1, 2, *OPTIONS, "--ec2", "--yes")
    assert outcome.code == 1
    assert {job["TrainingJobStatus"] for job in jobs()} == {"Stopped"}
    assert outcome.out.count("stopped whatbreed-compare-") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], '"one" is not a number of instances'),
        (["0"], '"0" is not a number'),
        (["²"], '"²" is not a number'),
        (["1", "1"], "has a number twice"),
        (["1", "3"], "--batch-size 32 cannot be divided by 3"),
        (["1", "--local"], "--photos FOLDER"),
        (["1", "--photos", "."], "--photos is for --local"),
        (["1", "--local", "--ec2", "--photos", "."], "omit --local and --runs"),
        (["1", "--local", "--runs"], "omit one of them"),
        (["x", "--runs"], "Run x does not exist. Runs: none."),
        (["whatbreed-x", "--runs"], "whatbreed-x does not exist"),
    ],
)
def test_wrong_options(uploaded: str, command: Command, arguments: list[str], message: str) -> None:
    outcome = command("training", "compare", *arguments)
    assert outcome.code != 0
    assert message in outcome.err


@pytest.mark.server
def test_one_and_two_processes_here(command: Command, colour_photos: Path) -> None:
    options = (
        "--backbone", "tf_efficientnet_lite0", "--size", 64, "--train-size", 64,
        "--cache-size", 80, "--batch-size", 8, "--epochs", 1, "--json",
    )  # fmt: skip
    outcome = command("training", "compare", "--local", 1, 2, "--photos", colour_photos, *options)
    assert outcome.code == 0, outcome.err
    one, two = json.loads(outcome.out)["runs"]
    assert one["speed_up"] == 1
    assert two["speed_up"] is not None
    assert two["on"] == "2 processes"
    for each in (one, two):
        assert min(each["startup_s"], each["training_s"], each["export_s"]) > 0
        assert each["valid_photos"] == 6
