"""`training jobs`: the log of an EC2 run, and stopping whatever trains."""

from typing import Any

import boto3
import pytest

from aws import ec2_instances
from aws.account import Account
from aws.settings import AwsSettings
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Command
from training.run_result import Result

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
FOLDER = "whatbreed/ec2/big"


@pytest.fixture
def big(roles: None, bucket: str, command: Command) -> str:
    """A run on EC2; returns its instance."""
    put("whatbreed/data/train/A/1.jpg", b"x")
    options = ("--run", "big", "--instance-type", "c5.xlarge")
    assert command("training", "ec2", *options).code == 0
    [reservation] = boto3.client("ec2").describe_instances()["Reservations"]
    return str(reservation["Instances"][0]["InstanceId"])


def put(key: str, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def state(instance: str) -> str:
    [reservation] = boto3.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    return str(reservation["Instances"][0]["State"]["Name"])


def finish(instance: str) -> None:
    """Write what the instance leaves in S3, and terminate it."""
    [began] = boto3.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    start = began["Instances"][0]["LaunchTime"].timestamp()
    times = {"installed": 100, "downloaded": 130, "trained": 430, "exported": 460}
    put(f"{FOLDER}/times.txt", "".join(f"{k} {start + v:.0f}\n" for k, v in times.items()).encode())
    result = Result(10, 280, 0, 0.875, 100, 2, 1, resumed=False)
    put(f"{FOLDER}/run/result.json", result.json().encode())
    put(f"{FOLDER}/model.tar.gz", b"x")
    boto3.client("ec2").terminate_instances(InstanceIds=[instance])


@pytest.mark.parametrize("by", ["run", "instance"])
def test_following_prints_the_log_as_it_grows(
    big: str, command: Command, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    put(f"{FOLDER}/log.txt", b"installing\n")
    reads = iter(["running", "running", "running", "terminated"])

    def grow(*_: Any) -> str:
        status = next(reads)
        if status == "terminated":
            put(f"{FOLDER}/log.txt", "installing\nepoch 1/1 ✓\n".encode())
            put(f"{FOLDER}/model.tar.gz", b"x")
        return status

    monkeypatch.setattr("aws.ec2_instances.state", grow)
    outcome = command("training", "jobs", "--follow", "big" if by == "run" else big)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("installing\n") == 1
    assert outcome.out.count("epoch 1/1 ✓\n") == 1
    assert f"model: s3://{BUCKET}/{FOLDER}/model.tar.gz" in outcome.out


def test_an_instance_that_ends_without_a_model(big: str, command: Command) -> None:
    boto3.client("ec2").terminate_instances(InstanceIds=[big])
    outcome = command("training", "jobs", "--follow", "big")
    assert outcome.code == 1
    assert "python -m training ec2 --resume big" in outcome.err


def test_stopping_an_instance(big: str, command: Command) -> None:
    assert "would stop" in command("training", "jobs", "--stop", "big", "--dry-run").out
    assert state(big) == "running"
    assert "python -m training ec2 --resume big" in command("training", "jobs", "--stop", "big").out
    assert state(big) == "terminated"
    assert "terminated already" in command("training", "jobs", "--stop", "big").out


def test_the_table_has_both_places(big: str, command: Command) -> None:
    assert "InProgress" in command("training", "jobs").out
    finish(big)
    [row] = command("training", "jobs", "--json").json
    assert (row["name"], row["status"]) == ("big", "Completed")
    assert row["duration_s"] == pytest.approx(460, abs=3)
    assert row["objective"] == 0.875
    assert "EC2 c5.xlarge" in command("training", "jobs").out


@pytest.mark.parametrize("by", ["run", "job"])
def test_stopping_a_job(
    roles: None, bucket: str, command: Command, emulator: State, by: str
) -> None:
    put("whatbreed/data/train/A/1.jpg", b"x")
    assert command("training", "fit", "--run", "nightly", "--detach").code == 0
    sagemaker = boto3.client("sagemaker")
    [job] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    name = job["TrainingJobName"]
    stop = ("training", "jobs", "--stop", "nightly" if by == "run" else name)
    assert f"{name} has ended already" in command(*stop).out
    emulator.on_training = lambda job: job.update(TrainingJobStatus="InProgress")
    assert f"stopping {name}" in command(*stop).out
    emulator.on_training = lambda _: None
    job = sagemaker.describe_training_job(TrainingJobName=name)
    assert job["TrainingJobStatus"] == "Stopped"


def test_stopping_a_misspelt_run(big: str, command: Command) -> None:
    outcome = command("training", "jobs", "--stop", "bgi")
    assert outcome.code == 1
    assert 'Did you mean "big"?' in outcome.err


def test_our_instances(big: str) -> None:
    """Those of others, which `down` must not terminate, are not among them."""
    client = boto3.client("ec2")
    image = client.describe_images()["Images"][0]["ImageId"]
    client.run_instances(ImageId=image, InstanceType="c5.xlarge", MinCount=1, MaxCount=1)
    account = Account(AwsSettings.read())
    assert [instance["InstanceId"] for instance in ec2_instances.ours(account)] == [big]
