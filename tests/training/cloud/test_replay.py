"""What `fit` starts really trains: the created job, replayed on two hosts, down to an answer."""

import json
import tarfile
import time
from pathlib import Path

import boto3
import numpy as np
import pytest
from PIL import Image

from model_code import inference
from tests.training.cloud.conftest import Command
from tests.training.cloud.replay import Replay, obstacle

pytestmark = [
    pytest.mark.server,
    # sagemaker's own imports warn of what its dependencies will drop.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "can be replayed"),
]
COLOURS = {"Red_setter": (200, 40, 40), "Green_hound": (40, 180, 60), "Blue_terrier": (40, 60, 200)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos of three breeds that are told apart by their colour."""
    draw = np.random.default_rng(0)
    for breed, colour in COLOURS.items():
        for split, count in (("train", 8), ("valid", 2), ("test", 2)):
            for number in range(count):
                noise = draw.normal(colour, 20, (80, 96, 3)).clip(0, 255).astype(np.uint8)
                path = tmp_path / "photos" / split / breed / f"{split}{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise).save(path)
    return tmp_path / "photos"


def test_a_job_trains_is_interrupted_goes_on_and_serves(
    bucket: str, roles: None, command: Command, folder: Path, tmp_path: Path
) -> None:
    assert command("upload", "--data", folder).code == 0
    started = command(
        "fit", "--detach", "--instance-type", "ml.m5.large", "--instance-count", 2,
        "--backbone", "tf_efficientnet_lite0", "--size", 64, "--train-size", 64,
        "--cache-size", 80, "--epochs", 4, "--batch-size", 4, "--checkpoint-steps", 1,
    )  # fmt: skip
    assert started.code == 0, started.err
    sagemaker = boto3.client("sagemaker")
    [summary] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    job = sagemaker.describe_training_job(TrainingJobName=summary["TrainingJobName"])
    replay = Replay(tmp_path / "replay", job)

    # -- the first time: until a checkpoint exists, then the machines are gone
    replay.lay_out()
    checkpoint = replay.ml("algo-1") / "checkpoints" / "checkpoint.pt"
    process = replay.start()
    try:
        end = time.monotonic() + 150
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
        code = process.wait(240)
    finally:
        process.kill()
        process.wait()
    log = replay.log("algo-1")
    assert code == 0, log + replay.log("algo-2")
    assert "torchrun --nnodes=2" in log
    assert "going on in epoch" in log
    assert "valid_top1=" in log
    assert list((replay.ml("algo-2") / "model").iterdir()) == []  # one writer

    # -- what it left: an artifact that the endpoint's code takes
    model_dir = tmp_path / "model"
    with tarfile.open(replay.model_archive()) as archive:
        archive.extractall(model_dir, filter="data")
    model = inference.model_fn(model_dir)
    assert set(model.artifact.labels) == set(COLOURS)
    photo = (folder / "test" / "Red_setter" / "test0.jpg").read_bytes()
    answer = json.loads(
        inference.output_fn(inference.predict_fn(inference.input_fn(photo, "image/jpeg"), model))
    )
    assert len(answer["logits"]) == len(COLOURS)
    assert 0 <= answer["dog_probability"] <= 1
