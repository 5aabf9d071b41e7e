"""`training tune-job`: SageMaker's tuner over the search space of the local `tune`."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Change, Command
from training.jobs import tuning_job
from training.settings import TuneSettings

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
SPACE: dict[str, Any] = {
    "learning_rate": {"type": "log", "low": 1e-4, "high": 1e-2},
    "train_size": {"type": "choice", "values": [192, 224]},
    "seed": {"type": "int", "low": 0, "high": 9},
    "mixup": {"type": "float", "low": 0.0, "high": 0.4},
}


@pytest.fixture
def uploaded(roles: None, bucket: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")


def only_job() -> dict[str, Any]:
    sagemaker = boto3.client("sagemaker")
    [summary] = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    name = summary["HyperParameterTuningJobName"]
    return dict(sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name))


def test_the_tuning_job(uploaded: None, change_settings: Change, command: Command) -> None:
    change_settings("tune", space=SPACE)
    outcome = command(
        "training", "tune-job", "--max-jobs", 6, "--parallel-jobs", 3, "--epochs", 4,
        "--seed", 3, "--detach",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    job = only_job()
    assert f"--from-tuning {job['HyperParameterTuningJobName']}" in outcome.out
    config = job["HyperParameterTuningJobConfig"]
    assert config["Strategy"] == "Bayesian"
    assert config["HyperParameterTuningJobObjective"] == {
        "Type": "Maximize",
        "MetricName": "valid:top1",
    }
    limits = config["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 6
    assert limits["MaxParallelTrainingJobs"] == 3
    ranges = config["ParameterRanges"]
    rate, mixup = ranges["ContinuousParameterRanges"]
    assert (rate["Name"], rate["ScalingType"]) == ("learning-rate", "Logarithmic")
    assert (mixup["Name"], mixup["MaxValue"]) == ("mixup", "0.4")
    [seed] = ranges["IntegerParameterRanges"]
    assert (seed["Name"], seed["MinValue"], seed["MaxValue"]) == ("seed", "0", "9")
    [size] = ranges["CategoricalParameterRanges"]
    assert size["Name"] == "train-size"
    definition = job["TrainingJobDefinition"]
    assert definition["RoleArn"].endswith(":role/whatbreed-training")
    static = definition["StaticHyperParameters"]
    assert static["sagemaker_program"] == "training/train.py"
    assert static["epochs"] == "4"
    assert "seed" not in static, "the tuner chooses what the space has"
    code = static["sagemaker_submit_directory"]
    assert code.startswith(f"s3://{BUCKET}/whatbreed/jobs/whatbreed-tune/")
    for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]:
        assert item["Key"].startswith("whatbreed/"), "the role may read below the prefix only"
    metrics = definition["AlgorithmSpecification"]["MetricDefinitions"]
    assert "valid:top1" in {metric["Name"] for metric in metrics}
    photos = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert photos["S3Uri"] == f"s3://{BUCKET}/whatbreed/data"


def test_dry_run(uploaded: None, command: Command) -> None:
    summary = command("training", "tune-job", "--dry-run").json
    assert summary["space"]["learning_rate"]["type"] == "log"
    assert summary["instances"] == "1 x ml.g5.xlarge per job"
    assert summary["cost_at_most_usd"] == pytest.approx(20 * 4 * 1.408, rel=0.01)
    assert "not available to tuning jobs" in summary["warm_pools"]
    sagemaker = boto3.client("sagemaker")
    assert not sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]


def test_best_values_are_options_of_fit(uploaded: None, emulator: State, command: Command) -> None:
    assert command("training", "tune-job", "--detach").code == 0
    name = only_job()["HyperParameterTuningJobName"]
    fit = ("training", "fit", "--dry-run", "--from-tuning", name, "--seed", 5)
    assert "has no best job yet" in command(*fit).err
    emulator.best_values = {
        "learning-rate": "0.0012",
        "batch-size": '"64"',
        "seed": "7",
        "_tuning_objective_metric": "valid:top1",
    }
    values = command(*fit).json["hyperparameters"]
    assert values == {"learning-rate": 0.0012, "batch-size": 64, "seed": 5}


def test_waiting_prints_the_best_values(uploaded: None, emulator: State, command: Command) -> None:
    emulator.best_values = {"learning-rate": "0.0012"}
    outcome = command("training", "tune-job")
    assert outcome.code == 0, outcome.err
    assert "Completed, completed jobs: 1" in outcome.out
    assert "learning-rate  0.0012" in outcome.out


def test_the_best_values_become_settings(
    uploaded: None, emulator: State, command: Command, tmp_path: Path
) -> None:
    emulator.best_values = {"learning-rate": "0.0012", "train-size": '"192"'}
    file = tmp_path / "tuned.toml"
    outcome = command("training", "tune-job", "--save", file)
    assert outcome.code == 0, outcome.err
    assert "cannot use warm pools" in outcome.out
    assert file.read_text() == "[train]\nlearning_rate = 0.0012\ntrain_size = 192\n"
    summary = command("training", "fit", "--dry-run", "--settings", file).json
    assert summary["hyperparameters"] == {"learning-rate": 0.0012, "train-size": 192}
    file.unlink()
    name = only_job()["HyperParameterTuningJobName"]  # later, from the same tuning job
    assert command("training", "tune-job", "--job", name, "--save", file).code == 0
    assert "train_size = 192" in file.read_text()
    assert "omit --detach" in command("training", "tune-job", "--save", file, "--detach").err


def test_a_tuning_job_that_does_not_exist(uploaded: None, command: Command) -> None:
    outcome = command("training", "fit", "--from-tuning", "nope")
    assert "Tuning job nope does not exist" in outcome.err


@pytest.mark.parametrize(
    "dimension", [{"low": 1}, {"type": "int", "low": 1}, {"type": "real", "low": 0, "high": 1}]
)
def test_an_invalid_space_is_refused_by_name(
    uploaded: None, change_settings: Change, command: Command, dimension: dict[str, Any]
) -> None:
    change_settings("tune", space={"learning_rate": dimension})
    outcome = command("training", "tune-job", "--dry-run")
    assert outcome.code == 2
    assert "space.learning_rate" in outcome.err


def test_the_default_space() -> None:
    assert "learning-rate" in tuning_job.ranges(TuneSettings.read().space)


def test_an_unknown_objective(uploaded: None, command: Command) -> None:
    outcome = command("training", "tune-job", "--objective", "happiness")
    assert 'Unknown objective "happiness"' in outcome.err


CHOICES: dict[str, Any] = {
    "train_size": {"type": "choice", "values": [192, 224, 256]},
    "batch_size": {"type": "choice", "values": [16, 32]},
}


def test_grid_runs_every_combination(
    uploaded: None, change_settings: Change, command: Command
) -> None:
    """SageMaker refuses another number of jobs, and early stopping."""
    change_settings("tune", space=CHOICES)
    outcome = command("training", "tune-job", "--strategy", "Grid", "--detach")
    assert outcome.code == 0, outcome.err
    assert "6 jobs" in outcome.out
    config = only_job()["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"].get("MaxNumberOfTrainingJobs") in (None, 6)
    assert config["TrainingJobEarlyStoppingType"] == "Off"


def test_hyperband_stops_jobs_itself(uploaded: None, command: Command) -> None:
    assert command("training", "tune-job", "--strategy", "Hyperband", "--detach").code == 0
    config = only_job()["HyperParameterTuningJobConfig"]
    assert config["TrainingJobEarlyStoppingType"] == "Off"


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        (SPACE, ["--strategy", "Grid"], "Grid searches only choices"),
        ({"seed": {"type": "choice", "values": list(range(31))}}, [], "SageMaker allows 30"),
        (SPACE, ["--max-jobs", 751], "--max-jobs"),
        (SPACE, ["--max-jobs", 5, "--parallel-jobs", 6], "parallel_jobs 6 is above max_jobs 5"),
    ],
)
def test_searches_that_sagemaker_refuses(
    uploaded: None,
    change_settings: Change,
    command: Command,
    space: dict[str, Any],
    options: list[Any],
    message: str,
) -> None:
    change_settings("tune", space=space)
    outcome = command("training", "tune-job", *options, "--detach")
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.parametrize("decision", ["allowed", "implicitDeny"])
def test_everything_is_uploaded_below_the_job(
    uploaded: None, emulator: State, command: Command, decision: str
) -> None:
    """Whatever iam:SimulatePrincipalPolicy returns for the role."""
    emulator.simulated_decision = decision
    assert command("training", "tune-job", "--detach").code == 0
    keys = [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    sent = [key for key in keys if not key.startswith("whatbreed/data/")]
    assert all(key.startswith("whatbreed/jobs/whatbreed-tune/") for key in sent)


def test_local_storage_takes_no_key(uploaded: None, key: str, command: Command) -> None:
    assert command("training", "tune-job", "--detach").code == 0
    resources = only_job()["TrainingJobDefinition"]["ResourceConfig"]
    assert resources["InstanceType"] == "ml.g5.xlarge"
    assert "VolumeKmsKeyId" not in resources
