"""Training jobs: what `fit` asks SageMaker for, and what stays when it is refused."""

import argparse
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from aws.account import Account
from aws.errors import AwsError
from aws.settings import AwsSettings, FitSettings
from tests.emulator.fixtures import BUCKET, Change, Command
from training import settings
from training.jobs import fit, job_logs, source_code
from training.jobs.sagemaker_trainer import check_photos

# sagemaker's own imports warn of what its dependencies will drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def uploaded(roles: None, bucket: str) -> str:
    """A bucket with a photo where `upload` puts them."""
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    return bucket


def only_job() -> dict[str, Any]:
    sagemaker = boto3.client("sagemaker")
    [summary] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    return dict(sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"]))


def event(message: str) -> dict[str, Any]:
    return {"timestamp": int(time.time() * 1000), "message": message}


def keys(prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", [])]


def test_the_job_is_what_the_settings_say(uploaded: str, command: Command) -> None:
    outcome = command(
        "fit", "--instance-count", 2, "--epochs", 3, "--learning-rate", 0.001, "--detach"
    )
    assert outcome.code == 0, outcome.err
    job = only_job()
    assert job["TrainingJobName"].startswith("whatbreed-fit-")
    assert job["RoleArn"].endswith(":role/whatbreed-training")
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert job["ResourceConfig"]["InstanceType"] == "ml.g5.xlarge"
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] == 28800
    assert job["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/whatbreed/checkpoints/fit"
    assert job["OutputDataConfig"]["S3OutputPath"] == f"s3://{BUCKET}/whatbreed/jobs"
    assert job["EnableInterContainerTrafficEncryption"] is True
    assert job["HyperParameters"] == {"epochs": "3", "learning-rate": "0.001"}
    metrics = job["AlgorithmSpecification"]["MetricDefinitions"]
    assert {metric["Name"] for metric in metrics} >= {"valid:top1"}
    assert "pytorch:2.13" in job["AlgorithmSpecification"]["TrainingImage"]
    channels = {channel["ChannelName"]: channel for channel in job["InputDataConfig"]}
    assert set(channels) == {"training", "code", "sm_drivers"}
    photos = channels["training"]["DataSource"]["S3DataSource"]
    assert photos["S3Uri"] == f"s3://{BUCKET}/whatbreed/data"
    assert photos["S3DataDistributionType"] == "FullyReplicated"
    sent = keys(f"whatbreed/jobs/{job['TrainingJobName']}/input/code/")
    names = {key.partition("/code/")[2] for key in sent}
    assert {"training/train.py", "training/settings.toml", "model_code/inference.py"} <= names
    assert "requirements.txt" in names
    assert not any("default/" in name or "__pycache__" in name for name in names)


def test_tags_and_vpc(uploaded: str, command: Command, change_settings: Change) -> None:
    change_settings("cloud", subnets=["subnet-1"], security_groups=["sg-1"])
    change_settings("cloud.training", spot=False, warm_pool_s=600, network_isolation=True)
    assert command("fit", "--detach").code == 0
    job = only_job()
    assert job["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert job["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert job["EnableManagedSpotTraining"] is False
    assert job["EnableNetworkIsolation"] is True
    tags = boto3.client("sagemaker").list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "project", "Value": "whatbreed"} in tags


def test_sharding(uploaded: str) -> None:
    """Only split train is dealt out; what is judged on lies on every instance."""
    for split in ("valid", "test"):
        boto3.client("s3").put_object(
            Bucket=uploaded, Key=f"whatbreed/data/{split}/A/1.jpg", Body=b"x"
        )
    account = Account(AwsSettings.read())
    options = FitSettings.read({"distribution": "ShardedByS3Key"})
    values = fit.hyperparameters(argparse.Namespace(), options)
    assert values == {"sharded": True, "data": "/opt/ml/input/data"}
    fit.start(account, options, "fit", values, account.uri("data"))
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]
        for channel in only_job()["InputDataConfig"]
    }
    assert set(channels) == {"train", "valid", "test", "code", "sm_drivers"}
    assert channels["train"]["S3DataDistributionType"] == "ShardedByS3Key"
    assert channels["train"]["S3Uri"] == f"s3://{BUCKET}/whatbreed/data/train"
    assert channels["test"]["S3DataDistributionType"] == "FullyReplicated"


def test_sharding_wants_a_split_that_every_instance_sees(uploaded: str, command: Command) -> None:
    outcome = command("fit", "--distribution", "ShardedByS3Key")
    assert outcome.code != 0
    assert "has no valid/BREED/" in outcome.err
    assert "FullyReplicated" in outcome.err


def test_an_index_cannot_be_sharded(uploaded: str) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="whatbreed/data/index.csv", Body=b"x")
    account = Account(AwsSettings.read())
    options = FitSettings.read({"distribution": "ShardedByS3Key"})
    with pytest.raises(AwsError, match=r"index\.csv"):
        check_photos(account, options, account.uri("data"))


def test_waiting_shows_the_log(
    uploaded: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    monkeypatch.setattr(job_logs, "POLL_S", 0)
    begin = job_logs.LogTail.print_new

    def log_first(tail: job_logs.LogTail) -> None:
        for host in (1, 2):
            stream = {
                "logGroupName": "/aws/sagemaker/TrainingJobs",
                "logStreamName": f"{tail._prefix}algo-{host}-17",
            }
            logs.create_log_stream(**stream)
            logs.put_log_events(**stream, logEvents=[event(f"hi {host}")])
        begin(tail)

    monkeypatch.setattr(job_logs.LogTail, "print_new", log_first)
    outcome = command("fit")
    assert outcome.code == 0, outcome.err
    assert "algo-1: hi 1" in outcome.out
    assert "algo-2: hi 2" in outcome.out
    assert "deploy --stage dev --job whatbreed-fit-" in outcome.out


def test_a_failed_job_says_why(
    uploaded: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*_: object) -> dict[str, Any]:
        return {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError:\n out of memory"}

    monkeypatch.setattr(job_logs, "training_job", failed)
    outcome = command("fit")
    assert outcome.code == 1
    assert "failed: AlgorithmError: out of memory" in outcome.err


@pytest.mark.parametrize(("answer", "status"), [("y", "Stopped"), ("n", "Completed")])
def test_ctrl_c_asks(
    uploaded: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: str,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job_logs.LogTail, "print_new", interrupt)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert command("fit").code == 130
    assert only_job()["TrainingJobStatus"] == status


def test_a_refused_job_leaves_nothing(
    uploaded: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagemaker.train import model_trainer

    def refuse(**_: object) -> None:
        error = {"Code": "ResourceLimitExceeded", "Message": "ml.g5.xlarge for spot: 0 Instances"}
        raise ClientError({"Error": error}, "CreateTrainingJob")

    monkeypatch.setattr(model_trainer.TrainingJob, "create", refuse)
    outcome = command("fit")
    assert outcome.code == 1
    assert "Service Quotas" in outcome.err
    assert keys("whatbreed/jobs/") == []


def test_dry_run_starts_nothing(uploaded: str, command: Command) -> None:
    told = command("fit", "--dry-run", "--instance-count", 4).json
    assert told["instances"] == "4 x ml.g5.xlarge"
    assert told["cost_at_most_usd"] == pytest.approx(4 * 4 * 1.408, rel=0.01)
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert keys("whatbreed/jobs/") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--spot", "maybe"], "not true or false"),
        (["--epochs", "many"], "epochs"),
        (["--spot", "true", "--warm-pool-s", "60"], "warm"),
        (["--max-wait-s", "60"], "max_wait_s"),
        (["--run", "a_b"], "--run"),
        (["--data", "/tmp"], "s3://"),
    ],
)
def test_wrong_options(uploaded: str, command: Command, arguments: list[str], told: str) -> None:
    outcome = command("fit", "--detach", *arguments)
    assert outcome.code != 0
    assert told in outcome.err
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_without_photos_or_bucket(aws: None, command: Command) -> None:
    assert "--create-bucket" in command("fit").err
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    assert "run `python -m training upload" in command("fit").err


def test_the_image_has_the_torch_of_the_requirements() -> None:
    pins = dict(line.split("==") for line in source_code.requirements() if "==" in line)
    version = settings.table("cloud")["training"]["pytorch"]
    assert pins["torch"].startswith(version + ".")
    assert not {"sagemaker", "boto3"} & set(pins)


def test_a_packed_job_imports_without_sagemaker(tmp_path: Path) -> None:
    source_code.pack(tmp_path)
    for path in tmp_path.rglob("*.py"):
        if "cloud" not in path.parts:
            assert "import boto3" not in path.read_text(encoding="utf-8"), path
