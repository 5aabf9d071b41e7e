"""SageMaker's tuner over the search space that the local `tune` uses."""

from typing import Any

import boto3
import pytest

from aws.errors import AwsError
from cli.errors import SettingsError
from tests.emulator.fixtures import BUCKET, Command
from training import settings
from training.jobs import tuning_job

# sagemaker's own imports warn of what its dependencies will drop.
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


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> None:
    table = settings.table
    monkeypatch.setattr(
        settings, "table", lambda name: {"space": SPACE} if name == "tune" else table(name)
    )


def test_the_tuning_job(uploaded: None, space: None, command: Command) -> None:
    outcome = command(
        "tune", "--cloud", "--max-jobs", 6, "--parallel-jobs", 3, "--epochs", 4, "--detach"
    )
    assert outcome.code == 0, outcome.err
    sagemaker = boto3.client("sagemaker")
    [one] = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    name = one["HyperParameterTuningJobName"]
    assert f"--from-tuning {name}" in outcome.out
    job = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
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
    code = static["sagemaker_submit_directory"]
    assert code.startswith(f"s3://{BUCKET}/whatbreed/jobs/whatbreed-tune/")
    for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]:
        assert item["Key"].startswith("whatbreed/"), "the role may read below the prefix only"
    metrics = definition["AlgorithmSpecification"]["MetricDefinitions"]
    assert "valid:top1" in {metric["Name"] for metric in metrics}
    photos = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert photos["S3Uri"] == f"s3://{BUCKET}/whatbreed/data"


def test_dry_run(uploaded: None, command: Command) -> None:
    assert "learning_rate" in command("tune", "--cloud", "--dry-run").json["space"]
    sagemaker = boto3.client("sagemaker")
    assert not sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]


def test_best_values_are_options_of_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    best = {
        "TunedHyperParameters": {
            "learning-rate": "0.0012",
            "batch-size": '"32"',
            "_tuning_objective_metric": "valid:top1",
        }
    }
    monkeypatch.setattr(tuning_job, "_describe", lambda *_: {"BestTrainingJob": best})
    found = tuning_job.best_values(None, "t")  # type: ignore[arg-type]
    assert found == {"learning-rate": 0.0012, "batch-size": 32}
    monkeypatch.setattr(tuning_job, "_describe", lambda *_: {})
    with pytest.raises(AwsError, match="no best job yet"):
        tuning_job.best_values(None, "t")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"low": 1}, {"type": "int", "low": 1}, {"type": "real"}])
def test_a_wrong_space_names_the_key(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="learning_rate"):
        tuning_job.ranges({"learning_rate": wrong})


def test_the_projects_own_space() -> None:
    assert "learning-rate" in tuning_job.ranges(settings.table("tune")["space"])


def test_an_unknown_objective(uploaded: None, command: Command) -> None:
    assert "objective" in command("tune", "--cloud", "--objective", "happiness").err
