"""`training fit`: the request to SageMaker, the log, and what remains if it is refused."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from aws.account import Account
from aws.settings import AwsSettings, FitSettings
from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Change, Command
from tests.training.jobs.conftest import Network
from training.jobs import fit, source_code
from training.jobs.job_logs import follow
from training.settings import TrainSettings

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def uploaded(roles: None, bucket: str) -> str:
    """A bucket with a photo where `upload` copies them."""
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    return bucket


def only_job() -> dict[str, Any]:
    sagemaker = boto3.client("sagemaker")
    [summary] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    return dict(sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"]))


def event(message: str) -> dict[str, Any]:
    return {"timestamp": int(time.time() * 1000), "message": message}


def keys(prefix: str) -> list[str]:
    page = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for item in page.get("Contents", [])]


def test_the_request_follows_the_settings(uploaded: str, command: Command) -> None:
    outcome = command(
        "training", "fit", "--instance-count", 2, "--epochs", 3, "--learning-rate", 0.001,
        "--detach",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    job = only_job()
    assert job["TrainingJobName"].startswith("whatbreed-fit-")
    assert job["RoleArn"].endswith(":role/whatbreed-training")
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert job["ResourceConfig"]["InstanceType"] == "ml.g5.xlarge"
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"]["MaxWaitTimeInSeconds"] == 28800
    checkpoints = job["CheckpointConfig"]["S3Uri"]
    assert checkpoints.startswith(f"s3://{BUCKET}/whatbreed/checkpoints/fit-20")
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
    assert {"training/train.py", "model_code/inference.py", "cli/settings.py"} <= names
    assert {"requirements.txt", "settings.toml"} <= names
    assert not any(
        part in name for name in names for part in ("default/", "__pycache__", "training/jobs/")
    )


def test_the_job_receives_what_differs_from_its_own_settings(
    uploaded: str, change_settings: Change, command: Command, tmp_path: Path
) -> None:
    """The packed settings.toml has the rest, so a value may also be the default."""
    change_settings("train", epochs=9, seed=1)
    (tmp_path / "tuned.toml").write_text("[train]\nmixup = 0.3\n")
    default = TrainSettings.model_fields["epochs"].default
    summary = command(
        "training", "fit", "--dry-run", "--settings", tmp_path / "tuned.toml", "--epochs", default
    ).json
    assert summary["hyperparameters"] == {"epochs": default, "mixup": 0.3}
    packed = tmp_path / "packed"
    source_code.pack(packed)
    assert "epochs = 9" in (packed / "settings.toml").read_text()


def test_tags_and_vpc(
    uploaded: str, vpc: Network, command: Command, change_settings: Change
) -> None:
    change_settings("fit", spot=False, warm_pool_s=600, network_isolation=True)
    assert command("training", "fit", "--detach").code == 0
    job = only_job()
    assert job["VpcConfig"] == {"Subnets": [vpc.subnet], "SecurityGroupIds": [vpc.group]}
    assert job["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert job["EnableManagedSpotTraining"] is False
    assert job["EnableNetworkIsolation"] is True
    tags = boto3.client("sagemaker").list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert {"Key": "project", "Value": "whatbreed"} in tags


def test_sharding(uploaded: str) -> None:
    """Only split train is divided; every instance has all photos to evaluate on."""
    for split in ("Val", "test"):
        boto3.client("s3").put_object(
            Bucket=uploaded, Key=f"whatbreed/data/{split}/A/1.jpg", Body=b"x"
        )
    account = Account(AwsSettings.read())
    options = FitSettings.read({"distribution": "ShardedByS3Key"})
    plan = fit.new(account, None, options, TrainSettings.read())
    assert plan.values == {"sharded": True, "data": "/opt/ml/input/data"}
    fit.start(account, plan)
    channels = {
        channel["ChannelName"]: channel["DataSource"]["S3DataSource"]
        for channel in only_job()["InputDataConfig"]
    }
    assert set(channels) == {"train", "valid", "test", "code", "sm_drivers"}
    assert channels["train"]["S3DataDistributionType"] == "ShardedByS3Key"
    assert channels["train"]["S3Uri"] == f"s3://{BUCKET}/whatbreed/data/train"
    assert channels["valid"]["S3Uri"] == f"s3://{BUCKET}/whatbreed/data/Val"
    assert channels["test"]["S3DataDistributionType"] == "FullyReplicated"


def test_sharding_needs_a_split_to_evaluate_on(uploaded: str, command: Command) -> None:
    outcome = command("training", "fit", "--distribution", "ShardedByS3Key")
    assert outcome.code != 0
    assert "has no valid/BREED/" in outcome.err
    assert "FullyReplicated" in outcome.err


def test_an_index_cannot_be_sharded(uploaded: str, command: Command) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="whatbreed/data/index.csv", Body=b"x")
    assert "index.csv" in command("training", "fit", "--distribution", "ShardedByS3Key").err


def test_waiting_shows_the_log(uploaded: str, emulator: State, command: Command) -> None:
    def log(job: dict[str, Any]) -> None:
        logs = boto3.client("logs")
        for host in (1, 2):
            stream = {
                "logGroupName": "/aws/sagemaker/TrainingJobs",
                "logStreamName": f"{job['TrainingJobName']}/algo-{host}-17",
            }
            logs.create_log_stream(**stream)
            logs.put_log_events(**stream, logEvents=[event(f"hi {host}")])
        emulator.on_training = lambda _: None

    def second_description(_: dict[str, Any]) -> None:
        emulator.on_training = log  # the SDK describes a job once after creating it

    emulator.on_training = second_description
    outcome = command("training", "fit")
    assert outcome.code == 0, outcome.err
    assert "algo-1: hi 1" in outcome.out
    assert "algo-2: hi 2" in outcome.out
    assert "deploy --stage dev --job whatbreed-fit-" in outcome.out


def test_a_failed_job_shows_the_reason(uploaded: str, emulator: State, command: Command) -> None:
    emulator.training_failure = "AlgorithmError:\n out of memory"
    outcome = command("training", "fit")
    assert outcome.code == 1
    assert "failed: AlgorithmError: out of memory" in outcome.err


@pytest.mark.parametrize(("stop", "status"), [(True, "Stopped"), (False, "Completed")])
def test_ctrl_c_asks(
    uploaded: str, emulator: State, command: Command, stop: bool, status: str
) -> None:
    command("training", "fit", "--detach")
    name = only_job()["TrainingJobName"]
    questions: list[str] = []

    def interrupt(_: dict[str, Any]) -> None:
        emulator.on_training = lambda _: None
        raise KeyboardInterrupt

    def confirm(question: str) -> bool:
        questions.append(question)
        return stop

    emulator.on_training = interrupt
    with pytest.raises(KeyboardInterrupt):
        follow(Account(AwsSettings.read()), name, confirm)
    assert only_job()["TrainingJobStatus"] == status
    [question] = questions
    assert name in question


def test_ctrl_c_without_a_terminal(uploaded: str, emulator: State, command: Command) -> None:
    command("training", "fit", "--detach")
    name = only_job()["TrainingJobName"]

    def interrupt(_: dict[str, Any]) -> None:
        emulator.on_training = lambda _: None
        raise KeyboardInterrupt

    emulator.on_training = interrupt
    outcome = command("training", "jobs", "--follow", name)
    assert outcome.code == 130
    assert f"{name} keeps running" in outcome.out
    assert only_job()["TrainingJobStatus"] == "Completed"


def test_a_refused_job_leaves_no_uploads(uploaded: str, emulator: State, command: Command) -> None:
    emulator.refused["CreateTrainingJob"] = (
        "ResourceLimitExceeded",
        "ml.g5.xlarge for spot: 0 Instances",
    )
    outcome = command("training", "fit")
    assert outcome.code == 1
    assert "Service Quotas" in outcome.err
    assert keys("whatbreed/jobs/") == []


def test_a_role_that_was_just_created(uploaded: str, emulator: State, command: Command) -> None:
    emulator.lag = 2
    outcome = command("training", "fit", "--detach")
    assert outcome.code == 0, outcome.err
    assert only_job()["TrainingJobStatus"] == "Completed"


def test_dry_run_says_why_the_cost_is_unknown(uploaded: str, command: Command) -> None:
    summary = command("training", "fit", "--dry-run", "--instance-type", "ml.x9.large").json
    assert summary["cost_at_most_usd"] is None
    assert "The price of ml.x9.large (training) is unknown" in summary["cost_note"]


def test_dry_run_starts_nothing(uploaded: str, command: Command) -> None:
    summary = command("training", "fit", "--dry-run", "--instance-count", 4).json
    assert summary["instances"] == "4 x ml.g5.xlarge"
    assert summary["cost_at_most_usd"] == pytest.approx(4 * 4 * 1.408, rel=0.01)
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert keys("whatbreed/jobs/") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--spot", "maybe"], "--spot"),
        (["--epochs", "many"], "epochs"),
        (["--spot", "true", "--warm-pool-s", "60"], "warm"),
        (["--max-wait-s", "60"], "max_wait_s"),
        (["--run", "a_b"], "--run"),
        (["--data", "/tmp"], "s3://"),
        (["--spot", "false", "--warm-pool-s", "3601"], "--warm-pool-s"),
        (["--max-runtime-s", "2419201", "--spot", "false"], "--max-runtime-s"),
        (["--volume-gb", "16385"], "--volume-gb"),
        (["--kms-key", "alias/mine"], "--kms-key"),
        (["--training-role", "a role"], "--training-role"),
        (["--prefix", "a" * 39], "--prefix"),
    ],
)
def test_wrong_options(uploaded: str, command: Command, arguments: list[str], message: str) -> None:
    outcome = command("training", "fit", "--detach", *arguments)
    assert outcome.code != 0
    assert message in outcome.err
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []


def test_without_photos_or_bucket(aws: None, command: Command) -> None:
    assert "--create-bucket" in command("training", "fit").err
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    assert "run `python -m training upload" in command("training", "fit").err


def test_the_image_has_the_torch_of_the_requirements(tmp_path: Path) -> None:
    source_code.pack(tmp_path)
    lines = (tmp_path / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    assert pins["torch"].startswith(FitSettings.model_fields["pytorch"].default + ".")
    assert {"click", "pydantic"} <= set(pins)
    assert not {"sagemaker", "boto3"} & set(pins)


def test_the_packed_code_imports_without_aws(tmp_path: Path) -> None:
    """A job needs neither boto3 nor sagemaker, nor the packages of reports and searches."""
    source_code.pack(tmp_path)
    blocked = ("aws", "boto3", "botocore", "sagemaker", "optuna", "requests", "training.jobs")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}));"
        "import training.__main__, training.train, training.export"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


@pytest.mark.parametrize("instance_type", ["ml.g5.xlarge", "ml.g4dn.xlarge", "ml.r5d.large"])
def test_local_storage_takes_no_key(
    uploaded: str, key: str, command: Command, instance_type: str
) -> None:
    """SageMaker also refuses a volume that is larger than the local storage."""
    options = ["--instance-type", instance_type, "--volume-gb", 200]
    outcome = command("training", "fit", *options, "--detach")
    assert outcome.code == 0, outcome.err
    job = only_job()
    assert "VolumeKmsKeyId" not in job["ResourceConfig"]
    assert job["OutputDataConfig"]["KmsKeyId"] == key


def test_other_volumes_take_the_key(uploaded: str, key: str, command: Command) -> None:
    options = ["--instance-type", "ml.c5.xlarge", "--volume-gb", 200]
    assert command("training", "fit", *options, "--detach").code == 0
    assert only_job()["ResourceConfig"]["VolumeKmsKeyId"] == key
    assert only_job()["ResourceConfig"]["VolumeSizeInGB"] == 200


def test_a_key_that_is_disabled(uploaded: str, key: str, command: Command) -> None:
    boto3.client("kms").disable_key(KeyId=key.rpartition("/")[2])
    outcome = command("training", "fit", "--detach")
    assert outcome.code == 1
    assert f"{key} is Disabled" in outcome.err


@pytest.mark.parametrize("decision", ["allowed", "implicitDeny"])
def test_the_code_is_uploaded_below_the_prefix(
    uploaded: str, emulator: State, command: Command, decision: str
) -> None:
    """Whatever iam:SimulatePrincipalPolicy returns for the role."""
    emulator.simulated_decision = decision
    assert command("training", "fit", "--detach").code == 0
    name = only_job()["TrainingJobName"]
    channels = {item["ChannelName"]: item for item in only_job()["InputDataConfig"]}
    code = channels["code"]["DataSource"]["S3DataSource"]["S3Uri"]
    assert code.startswith(f"s3://{BUCKET}/whatbreed/jobs/{name}/input/code")
    assert all(key.startswith(f"whatbreed/jobs/{name}/") for key in keys("whatbreed/jobs/"))


def test_the_log_group_has_a_retention(
    uploaded: str, command: Command, change_settings: Change
) -> None:
    """Created by SageMaker, it would keep its events forever."""
    change_settings("aws", log_retention_days=30)
    assert command("training", "fit", "--detach").code == 0
    logs = boto3.client("logs")
    [group] = logs.describe_log_groups()["logGroups"]
    assert group["logGroupName"] == "/aws/sagemaker/TrainingJobs"
    assert group["retentionInDays"] == 30
    logs.put_retention_policy(logGroupName=group["logGroupName"], retentionInDays=365)
    command("training", "fit", "--detach")
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 365


def test_pip_uses_a_mirror(uploaded: str, command: Command) -> None:
    mirror = "https://pypi.example.com/simple"
    assert command("training", "fit", "--pip-index-url", mirror, "--detach").code == 0
    assert only_job()["Environment"]["PIP_INDEX_URL"] == mirror
