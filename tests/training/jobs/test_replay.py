"""What `fit` starts really trains: the created job, replayed on two hosts, down to an answer."""

import json
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from model_code import inference
from tests.emulator.fixtures import COLOURS, Command
from tests.training.jobs.replay import Replay, obstacle

pytestmark = [
    pytest.mark.server,
    # sagemaker's own imports warn of what its dependencies will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "can be replayed"),
]


def started_job(command: Command, *options: object) -> dict[str, Any]:
    """The description of the job that `fit` starts on two instances, small enough for a test."""
    started = command(
        "fit", "--detach", "--instance-type", "ml.m5.large", "--instance-count", 2,
        "--backbone", "tf_efficientnet_lite0", "--size", 64, "--train-size", 64,
        "--cache-size", 80, "--batch-size", 4, *options,
    )  # fmt: skip
    assert started.code == 0, started.err
    sagemaker = boto3.client("sagemaker")
    [summary] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    job: dict[str, Any] = sagemaker.describe_training_job(
        TrainingJobName=summary["TrainingJobName"]
    )
    return job


def test_a_job_trains_is_interrupted_goes_on_and_serves(
    bucket: str, roles: None, command: Command, colour_photos: Path, tmp_path: Path
) -> None:
    assert command("upload", "--data", colour_photos).code == 0
    job = started_job(command, "--epochs", 2, "--checkpoint-steps", 1)
    replay = Replay(tmp_path / "replay", job)

    # -- the first time: until a checkpoint exists, then the machines are gone
    replay.lay_out()
    checkpoint = replay.ml("algo-1") / "checkpoints" / "checkpoint.pt"
    process = replay.start()
    try:
        end = time.monotonic() + 300
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert checkpoint.exists(), replay.log("algo-1") + replay.log("algo-2")
    finally:
        process.kill()
        process.wait()
    assert "Training Container Execution Completed" not in replay.log("algo-1")

    # -- the second time: from the checkpoint to the end
    replay.lay_out()
    process = replay.start()
    try:
        code = process.wait(400)
    finally:
        process.kill()
        process.wait()
    log = replay.log("algo-1")
    assert code == 0, log + replay.log("algo-2")
    assert "torchrun --nnodes=2" in log
    assert "resuming in epoch" in log
    assert "valid_top1=" in log
    assert list((replay.ml("algo-2") / "model").iterdir()) == []  # one writer

    check_artifact(replay, tmp_path / "model", colour_photos)


def test_each_host_trains_on_its_own_shard(
    bucket: str, roles: None, command: Command, colour_photos: Path, tmp_path: Path
) -> None:
    assert command("upload", "--data", colour_photos).code == 0
    job = started_job(command, "--epochs", 1, "--distribution", "ShardedByS3Key")
    replay = Replay(tmp_path / "replay", job)
    replay.lay_out()
    one, other = (
        {path.relative_to(channel) for path in channel.rglob("*.jpg")}
        for channel in (replay.ml(host) / "input/data/train" for host in ("algo-1", "algo-2"))
    )
    assert one
    assert other
    assert one.isdisjoint(other)
    process = replay.start()
    try:
        code = process.wait(400)
    finally:
        process.kill()
        process.wait()
    assert code == 0, replay.log("algo-1") + replay.log("algo-2")
    check_artifact(replay, tmp_path / "model", colour_photos)


def check_artifact(replay: Replay, model_dir: Path, colour_photos: Path) -> None:
    """What a job left is an artifact that the endpoint's code takes and that answers a photo."""
    with tarfile.open(replay.model_archive()) as archive:
        archive.extractall(model_dir, filter="data")
    model = inference.model_fn(model_dir)
    assert set(model.artifact.labels) == set(COLOURS)
    photo = (colour_photos / "test" / "Red_setter" / "test0.jpg").read_bytes()
    answer = json.loads(
        inference.output_fn(inference.predict_fn(inference.input_fn(photo, "image/jpeg"), model))
    )
    assert len(answer["logits"]) == len(COLOURS)
    assert 0 <= answer["dog_probability"] <= 1
