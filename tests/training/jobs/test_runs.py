"""Runs of `fit`: unique by default, resumed by intention, checked before anything is billed."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tests.emulator.corrected_moto import State
from tests.emulator.fixtures import BUCKET, Change, Command

# sagemaker imports deprecated modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture
def uploaded(roles: None, bucket: str) -> str:
    boto3.client("s3").put_object(Bucket=bucket, Key="whatbreed/data/train/A/1.jpg", Body=b"x")
    return bucket


@pytest.fixture
def nightly(uploaded: str, emulator: State, command: Command) -> Callable[[str], None]:
    """A run that was started with three epochs; sets the status of its jobs."""
    options = ("--run", "nightly", "--epochs", 3, "--instance-type", "ml.m5.large", "--detach")
    assert command("training", "fit", *options).code == 0

    def set_status(status: str) -> None:
        emulator.on_training = lambda job: job.update(TrainingJobStatus=status)

    set_status("Failed")
    return set_status


def jobs() -> list[dict[str, Any]]:
    """The training jobs, the latest first."""
    sagemaker = boto3.client("sagemaker")
    summaries = sagemaker.list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
    return [
        sagemaker.describe_training_job(TrainingJobName=each["TrainingJobName"])
        for each in summaries["TrainingJobSummaries"]
    ]


def test_two_jobs_share_nothing(uploaded: str, command: Command) -> None:
    """With one folder of checkpoints, the second would train nothing and be 'faster'."""
    for run in ("a", "b"):  # jobs of one name and second would collide
        assert command("training", "fit", "--detach", "--run", run).code == 0
    folders = {job["CheckpointConfig"]["S3Uri"] for job in jobs()}
    assert len(folders) == 2
    summaries = [command("training", "fit", "--dry-run").json for _ in range(2)]
    assert all(each["checkpoints"] not in folders for each in summaries)
    assert not any(each["resumes"] for each in summaries)


def test_the_default_name_is_new(uploaded: str, command: Command) -> None:
    for _ in range(2):
        outcome = command("training", "fit", "--detach")
        assert outcome.code == 0, outcome.err
    first, second = (job["CheckpointConfig"]["S3Uri"] for job in jobs())
    assert first != second


def test_a_name_is_used_once(nightly: Callable[[str], None], command: Command) -> None:
    outcome = command("training", "fit", "--run", "nightly", "--detach")
    assert outcome.code == 2
    assert "resume it with `python -m training fit --resume nightly`" in outcome.err
    assert len(jobs()) == 1


def test_a_resumed_run_keeps_its_settings(
    nightly: Callable[[str], None], command: Command, change_settings: Change
) -> None:
    change_settings("train", epochs=9)  # changed since then
    change_settings("fit", instance_type="ml.g5.xlarge", spot=False)
    summary = command("training", "fit", "--resume", "nightly", "--dry-run", "--workers", 2).json
    assert summary["hyperparameters"] == {"epochs": 3, "workers": 2}
    assert summary["instances"] == "1 x ml.m5.large"
    assert summary["spot"] is True
    assert summary["checkpoints"] == f"s3://{BUCKET}/whatbreed/checkpoints/nightly"
    other = command(
        "training", "fit", "--resume", "nightly", "--dry-run", "--instance-type", "ml.c5.large"
    )
    assert other.json["instances"] == "1 x ml.c5.large"


def test_a_run_is_found_by_its_job(nightly: Callable[[str], None], command: Command) -> None:
    name = jobs()[0]["TrainingJobName"]
    assert command("training", "fit", "--resume", name, "--dry-run").json["run"] == "nightly"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", 4], "Run nightly was started with --epochs 3, not 4: omit --epochs"),
        (["--pretrained", "false"], "with --pretrained true, not false"),
        (["--run", "x"], "omit --run or --resume"),
        (["--from-tuning", "x"], "omit --from-tuning or --resume"),
        (["--data", "s3://other/data"], "s3://other/data"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(
    nightly: Callable[[str], None], command: Command, options: list[Any], message: str
) -> None:
    outcome = command("training", "fit", "--resume", "nightly", "--detach", *options)
    assert outcome.code != 0
    assert message in outcome.err
    assert len(jobs()) == 1


def test_a_settings_file_counts_as_options(
    nightly: Callable[[str], None], command: Command, tmp_path: Any
) -> None:
    (tmp_path / "s.toml").write_text("[train]\nmixup = 0.3\n")
    options = ("--resume", "nightly", "--settings", tmp_path / "s.toml", "--detach")
    assert "with --mixup 0.0, not 0.3" in command("training", "fit", *options).err


def test_other_photos_are_refused(nightly: Callable[[str], None], command: Command) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="whatbreed/data/train/A/2.jpg", Body=b"y")
    outcome = command("training", "fit", "--resume", "nightly", "--detach")
    assert outcome.code == 1
    assert "have changed since run nightly was started (1 then, 2 now)" in outcome.err
    assert len(jobs()) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("InProgress", "Run nightly is being trained by whatbreed-nightly-"),
        ("Completed", "Run nightly is finished: its model is at s3://"),
    ],
)
def test_nothing_to_resume(
    nightly: Callable[[str], None], command: Command, status: str, message: str
) -> None:
    nightly(status)
    outcome = command("training", "fit", "--resume", "nightly", "--detach")
    assert outcome.code != 0
    assert message in outcome.err
    assert len(jobs()) == 1


@pytest.mark.parametrize("name", ["nightyl", "whatbreed-nightly"])
def test_a_misspelt_run(nightly: Callable[[str], None], command: Command, name: str) -> None:
    outcome = command("training", "fit", "--resume", name)
    assert outcome.code == 2
    assert 'Did you mean "nightly"?' in outcome.err


def test_a_run_of_the_other_place(nightly: Callable[[str], None], command: Command) -> None:
    outcome = command("training", "ec2", "--resume", "nightly")
    assert outcome.code == 2
    assert "python -m training fit --resume nightly" in outcome.err


def test_a_refused_job_leaves_no_run(uploaded: str, emulator: State, command: Command) -> None:
    emulator.refused["CreateTrainingJob"] = ("ResourceLimitExceeded", "0 instances")
    assert command("training", "fit", "--run", "nightly").code == 1
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [item["Key"] for item in listed] == ["whatbreed/data/train/A/1.jpg"]


@pytest.mark.parametrize("key", ["train/A/._1.jpg", "train/A/notes.txt", "__MACOSX/A/1.jpg", "x/"])
@pytest.mark.parametrize("name", ["fit", "ec2", "tune-job"])
def test_files_that_are_not_photos(
    roles: None, bucket: str, command: Command, name: str, key: str
) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=f"whatbreed/data/{key}", Body=b"x")
    outcome = command("training", name)
    assert outcome.code == 1
    assert f"s3://{BUCKET}/whatbreed/data" in outcome.err
    assert "run `python -m training upload" in outcome.err
