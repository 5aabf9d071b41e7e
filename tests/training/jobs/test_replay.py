"""The job that `fit` starts really trains: replayed on two hosts, up to a prediction."""

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
from training.run_result import FILE, Result

pytestmark = [
    pytest.mark.server,
    # sagemaker imports deprecated modules.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "can be replayed"),
]


def started_job(command: Command, *options: object, instances: int = 2) -> dict[str, Any]:
    """The description of the latest job that `fit` starts, small enough for a test."""
    started = command(
        "training", "fit", "--detach", "--instance-type", "ml.m5.large",
        "--instance-count", instances,
        "--backbone", "tf_efficientnet_lite0", "--size", 64, "--train-size", 64,
        "--cache-size", 80, "--batch-size", 4, *options,
    )  # fmt: skip
    assert started.code == 0, started.err
    name = started.out.splitlines()[-1].rpartition(" ")[2]
    job: dict[str, Any] = boto3.client("sagemaker").describe_training_job(TrainingJobName=name)
    return job


def test_an_interrupted_job_resumes_and_its_model_serves(
    bucket: str, roles: None, command: Command, colour_photos: Path, tmp_path: Path
) -> None:
    assert command("training", "upload", "--data", colour_photos).code == 0
    job = started_job(command, "--epochs", 2, "--checkpoint-steps", 1)
    replay = Replay(tmp_path / "replay", job)

    # -- First start: until a checkpoint exists, then the instances are gone.
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

    # -- Second start: from the checkpoint to the end.
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
    result = Result.parse((replay.ml("algo-1") / "checkpoints" / FILE).read_bytes())
    assert result is not None
    assert result.resumed
    assert (result.processes, result.epochs, result.photos) == (2, 2, 6)
    assert result.export_s > 0


def test_a_second_job_trains_anew(
    bucket: str, roles: None, command: Command, colour_photos: Path, tmp_path: Path
) -> None:
    """The first job's checkpoints would let it finish at once, which looks like a speed-up."""
    assert command("training", "upload", "--data", colour_photos).code == 0
    for name in ("first", "second"):
        job = started_job(command, "--epochs", 1, instances=1)
        replay = Replay(tmp_path / name, job)
        replay.lay_out()
        process = replay.start()
        try:
            code = process.wait(400)
        finally:
            process.kill()
            process.wait()
        log = replay.log("algo-1")
        assert code == 0, log
        assert "epoch 1/1" in log
        assert "resuming" not in log
        replay.store_checkpoints()


def test_each_host_trains_on_its_own_shard(
    bucket: str, roles: None, command: Command, colour_photos: Path, tmp_path: Path
) -> None:
    assert command("training", "upload", "--data", colour_photos).code == 0
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
    """Load the job's artifact with the endpoint's code, and classify a photo."""
    with tarfile.open(replay.model_archive()) as archive:
        archive.extractall(model_dir, filter="data")
    model = inference.model_fn(model_dir)
    assert set(model.artifact.labels) == set(COLOURS)
    photo = (colour_photos / "test" / "Red_setter" / "test0.jpg").read_bytes()
    response = json.loads(
        inference.output_fn(inference.predict_fn(inference.input_fn(photo, "image/jpeg"), model))
    )
    assert len(response["logits"]) == len(COLOURS)
    assert 0 <= response["dog_probability"] <= 1
