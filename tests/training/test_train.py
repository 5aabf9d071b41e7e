"""Training as a whole, on real processes: deterministic, interruptible, distributed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from tests.servers import free_port
from training import run_folder
from training.distributed import World
from training.errors import CheckpointError, DataError
from training.settings import TrainSettings
from training.train import train

Settings = Callable[..., TrainSettings]
ROOT = Path(__file__).resolve().parents[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights after the last step, be they the best or not."""
    average = run_folder.load_tensors(folder / "checkpoint.pt")["average"]
    return {name: value for name, value in average.items() if name != "updates"}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def command(data: Path, output: Path, *options: str) -> list[str]:
    return ["-m", "training.train", "--data", str(data), "--output", str(output), *options]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_same_seed_trains_the_same_weights_and_learns(
    collection_folder: Path, tmp_path: Path, tiny_settings: Settings
) -> None:
    options = tiny_settings(epochs=6)
    first = train(options, collection_folder, tmp_path / "first", World())
    train(options, collection_folder, tmp_path / "second", World())
    train(tiny_settings(epochs=6, seed=1), collection_folder, tmp_path / "other", World())
    assert same(weights(tmp_path / "first"), weights(tmp_path / "second"))
    assert not same(weights(tmp_path / "first"), weights(tmp_path / "other"))
    history = run_folder.read_history(tmp_path / "first")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert first.breeds == ["Basenji", "Borzoi", "Briard"]


@pytest.mark.parametrize(("rate", "best"), [(0.01, 3), (0.1, 0)])
def test_a_run_ends_with_the_weights_that_split_valid_judged_best(
    rate: float,
    best: int,
    collection_folder: Path,
    tmp_path: Path,
    tiny_settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A rate that learns, and one that ruins the head that it starts from."""
    kept = train(tiny_settings(epochs=3, learning_rate=rate), collection_folder, tmp_path, World())
    losses = [row["valid_loss"] for row in run_folder.read_history(tmp_path)]
    assert losses[-1] < losses[0]
    assert kept.epoch == best
    head = run_folder.load_tensors(tmp_path / "start.pt")["weight"]
    assert torch.equal(kept.state["breeds.weight"], head) == (best == 0)
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert last_line.startswith(f"kept: epoch {best}, " if best else "kept: the linear head, ")
    assert f"valid_top1={round(kept.valid_top1, 5)};" in last_line


LITE2 = ["--backbone", "tf_efficientnet_lite2", "--pretrained", "true", "--precision", "bf16"]
"""The network that ships, in the arithmetic that trains it by default."""


@pytest.mark.parametrize(
    ("own", "delays_s"),
    [(["--epochs", "4"], (0.0, 0.35, 0.8)), ([*LITE2, "--epochs", "2"], (0.0, 2.0))],
    ids=["tiny", "lite2"],
)
def test_killed_at_any_moment_it_ends_with_the_same_weights(
    own: list[str],
    delays_s: Sequence[float],
    collection_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = [*tiny_options, *own, "--mixup", "0.4"]
    finish(start(command(collection_folder, whole, *options)))
    for delay_s in delays_s:
        process = start(command(collection_folder, broken, *options))
        wait_for(broken / "checkpoint.pt", process)
        time.sleep(delay_s)
        process.kill()
        process.communicate()
    output = finish(start(command(collection_folder, broken, *options)))
    assert "going on in epoch" in output
    assert same(weights(whole), weights(broken))
    kept = [dict(run_folder.load_model(folder).state) for folder in (whole, broken)]
    assert same(*kept)
    columns = ("epoch", "train_loss", "valid_loss", "valid_top1", "learning_rate")
    rows = [
        [[row[column] for column in columns] for row in run_folder.read_history(folder)]
        for folder in (whole, broken)
    ]
    assert rows[0] == rows[1]


def test_sigterm_writes_a_checkpoint_and_the_run_goes_on(
    collection_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    # Checkpoints by steps never come: what is there, SIGTERM has written.
    options = [*tiny_options, "--epochs", "400", "--checkpoint-steps", "100000"]
    process = start(command(collection_folder, tmp_path, *options))
    wait_for(tmp_path / "checkpoint.pt", process)  # of the first epoch
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert "stopped by SIGTERM; the same command goes on" in output
    assert "Traceback" not in output
    saved = run_folder.load_tensors(tmp_path / "checkpoint.pt")
    steps = saved["epoch"] * 6 + saved["step"]
    assert saved["rates"]["last_epoch"] == steps > 0


def test_another_run_s_checkpoint_is_refused_by_name(
    collection_folder: Path, tmp_path: Path, tiny_settings: Settings
) -> None:
    train(tiny_settings(), collection_folder, tmp_path, World())
    with pytest.raises(CheckpointError, match=r"with learning_rate 0\.001, not 0\.1"):
        train(tiny_settings(learning_rate=0.1), collection_folder, tmp_path, World())
    saved = run_folder.load_tensors(tmp_path / "checkpoint.pt")
    run_folder.save_atomically(tmp_path / "checkpoint.pt", {**saved, "format": 1})
    with pytest.raises(CheckpointError, match="of another version of this program: start over"):
        train(tiny_settings(), collection_folder, tmp_path, World())
    (tmp_path / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="is damaged"):
        train(tiny_settings(), collection_folder, tmp_path, World())


def test_two_processes_take_the_step_of_one_with_the_double_batch(
    collection_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    """One step of 24 photos. Group in place of batch normalisation, whose statistics are of one
    process; training from ImageNet's weights leaves those alone."""
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*tiny_options, "--backbone", "test_efficientnet_gn", "--epochs", "1"]
    options += ["--mixup", "0.3", "--batch-size"]
    finish(start(command(collection_folder, one, *options, "24")))
    two.mkdir()
    shutil.copy(one / "start.pt", two)  # the same head: its fit amplifies rounding
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    output = finish(start([*torchrun, *command(collection_folder, two, *options, "12")]))
    assert output.count("epoch 1/1") == 1  # only the leader prints
    saved = [run_folder.load_tensors(folder / "checkpoint.pt") for folder in (one, two)]
    assert [document["rates"]["last_epoch"] for document in saved] == [1, 1]
    moments = [document["optimiser"]["state"] for document in saved]
    assert moments[0].keys() == moments[1].keys()
    for number, moment in moments[0].items():  # a tenth of the gradient, after one step
        torch.testing.assert_close(
            moment["exp_avg"], moments[1][number]["exp_avg"], rtol=1e-3, atol=1e-6
        )
    first, second = weights(one), weights(two)
    far = [(first[name] - second[name]).abs() > 1e-5 for name in first]
    # Adam's first step is the sign of the gradient: one that is zero but for rounding may differ.
    assert sum(int(mask.sum()) for mask in far) < 0.001 * sum(mask.numel() for mask in far)
    rows = [run_folder.read_history(folder)[0] for folder in (one, two)]
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], abs=1e-4)
    assert rows[0]["valid_loss"] == pytest.approx(rows[1]["valid_loss"], abs=1e-3)


def test_a_sagemaker_job_of_two_hosts_without_torchrun_trains_together(
    collection_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    hyperparameters = dict(zip(tiny_options[::2], tiny_options[1::2], strict=True))
    hps = {name.removeprefix("--"): value for name, value in hyperparameters.items()}
    hosts = []
    port = str(free_port())
    for host in ("localhost", "localhost2"):
        job = tmp_path / host
        (job / "checkpoints").mkdir(parents=True)
        hosts.append(
            start(
                [str(ROOT / "training" / "train.py"), "--epochs", "1"],
                SM_HOSTS='["localhost", "localhost2"]',
                SM_CURRENT_HOST=host,
                SM_NETWORK_INTERFACE_NAME="lo",
                SM_CHANNEL_TRAINING=str(collection_folder),
                SM_MODEL_DIR=str(job / "model"),
                SM_HPS=json.dumps({**hps, "sagemaker_job_name": "x", "_tuning_objective": "y"}),
                MASTER_PORT=port,
            )
        )
    try:
        outputs = [finish(host) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
            host.communicate()
    assert "epoch 1/1: train_loss=" in outputs[0]
    assert "epoch" not in outputs[1]
    assert (tmp_path / "localhost" / "model" / "model.json").is_file()
    assert (tmp_path / "localhost" / "checkpoints" / "checkpoint.pt").is_file()
    assert not (tmp_path / "localhost2" / "model").exists()


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--learning-rate", "fast", "option learning_rate is 'fast', not float"),
        ("--backbone", "resnet51", "timm knows no backbone 'resnet51'"),
        ("--data", "nowhere", "nowhere does not exist"),
        ("--precision", "fp8", "precision is 'fp8'"),
    ],
)
def test_a_fault_of_the_user_is_told_in_one_line(
    collection_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
    option: str,
    value: str,
    complaint: str,
) -> None:
    process = start(command(collection_folder, tmp_path, *tiny_options, option, value))
    output, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert complaint in output
    assert "Traceback" not in output


def test_too_few_photos_for_a_batch(
    collection_folder: Path, tmp_path: Path, tiny_settings: Settings
) -> None:
    with pytest.raises(DataError, match="less than one batch"):
        train(tiny_settings(batch_size=500), collection_folder, tmp_path, World())
