"""Whole training runs: deterministic, interruptible, distributed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.servers import free_port
from tests.training.conftest import STEPS, MakeSettings, Run
from training import run_files
from training.distributed import World
from training.errors import CheckpointError, DataError, Interrupted
from training.hooks import Hook, Step
from training.run_files import TrainedModel
from training.settings import TrainSettings
from training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
LITE2 = ["--backbone", "tf_efficientnet_lite2", "--pretrained", "true", "--precision", "bf16"]
"""The backbone that ships, in the precision that trains it on hardware with bf16."""


def train(settings: TrainSettings, data: Path, output: Path) -> TrainedModel:
    return Trainer(settings, data, output, World()).train()


def averaged_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the averaged weights after the last step, which need not be the best."""
    average = run_files.load_tensors(folder / "checkpoint.pt")["average"]
    return {name: value for name, value in average.items() if name != "updates"}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
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
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_same_seed_trains_the_same_weights(
    trained_run: Run, tmp_path: Path, tiny_settings: MakeSettings
) -> None:
    again = train(tiny_settings(epochs=6), trained_run.photos, tmp_path / "again")
    train(tiny_settings(epochs=6, seed=1), trained_run.photos, tmp_path / "other")
    weights = averaged_weights(trained_run.folder)
    assert equal(weights, averaged_weights(tmp_path / "again"))
    assert not equal(weights, averaged_weights(tmp_path / "other"))
    assert again.breeds == ["Basenji", "Borzoi", "Briard"]


def test_the_loss_falls(trained_run: Run) -> None:
    history = run_files.read_history(trained_run.folder)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize(("rate", "epochs", "best"), [(0.01, 3, 3), (0.1, 1, 0)])
def test_a_run_keeps_the_weights_with_the_lowest_loss_on_split_valid(
    rate: float,
    epochs: int,
    best: int,
    photo_folder: Path,
    tmp_path: Path,
    tiny_settings: MakeSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A rate that learns, and one that ruins the head that it starts from."""
    kept = train(tiny_settings(epochs=epochs, learning_rate=rate), photo_folder, tmp_path)
    assert kept.epoch == best
    head = run_files.load_tensors(tmp_path / "linear_head.pt")["weight"]
    assert torch.equal(kept.state["breeds.weight"], head) == (best == 0)
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert last_line.startswith(f"kept: epoch {best}, " if best else "kept: the linear head, ")
    assert f"valid_top1={round(kept.valid_top1, 5)};" in last_line


@pytest.mark.parametrize(
    ("own", "delays_s"),
    [(["--epochs", "4"], (0.0, 0.35, 0.8)), ([*LITE2, "--epochs", "2"], (2.0,))],
    ids=["tiny", "lite2"],
)
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(
    own: list[str],
    delays_s: Sequence[float],
    photo_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = [*tiny_options, *own, "--mixup", "0.4"]
    finish(start(command(photo_folder, whole, *options)))
    for delay_s in delays_s:
        process = start(command(photo_folder, killed, *options))
        wait_for(killed / "checkpoint.pt", process)
        time.sleep(delay_s)
        process.kill()
        process.communicate()
    output = finish(start(command(photo_folder, killed, *options)))
    assert "resuming in epoch" in output
    assert equal(averaged_weights(whole), averaged_weights(killed))
    kept = [dict(run_files.load_model(folder).state) for folder in (whole, killed)]
    assert equal(*kept)
    columns = ("epoch", "train_loss", "valid_loss", "valid_top1", "learning_rate")
    rows = [
        [[row[column] for column in columns] for row in run_files.read_history(folder)]
        for folder in (whole, killed)
    ]
    assert rows[0] == rows[1]


def test_a_run_resumes_between_the_last_step_of_an_epoch_and_its_validation(
    photo_folder: Path, tmp_path: Path, tiny_settings: MakeSettings
) -> None:
    settings = tiny_settings(epochs=1)
    train(settings, photo_folder, tmp_path / "whole")

    class StopAfterLastStep(Hook):
        def after_step(self, step: Step) -> None:
            if step.number == STEPS - 1:
                trainer.stop_requested.set()

    trainer = Trainer(settings, photo_folder, tmp_path / "other", World(), [StopAfterLastStep()])
    with pytest.raises(Interrupted):
        trainer.train()
    assert run_files.load_tensors(tmp_path / "other" / "checkpoint.pt")["step"] == STEPS
    train(settings, photo_folder, tmp_path / "other")
    assert equal(averaged_weights(tmp_path / "whole"), averaged_weights(tmp_path / "other"))


def test_sigterm_writes_a_checkpoint_from_which_the_run_resumes(
    photo_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    # With these settings only epochs and SIGTERM write checkpoints.
    options = [*tiny_options, "--epochs", "400", "--checkpoint-steps", "100000"]
    process = start(command(photo_folder, tmp_path, *options))
    wait_for(tmp_path / "checkpoint.pt", process)  # of the first epoch
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert "Stopped by SIGTERM. Run the same command again to resume." in output
    assert "Traceback" not in output
    saved = run_files.load_tensors(tmp_path / "checkpoint.pt")
    steps = saved["epoch"] * STEPS + saved["step"]
    assert saved["rates"]["last_epoch"] == steps > 0


def test_the_checkpoint_of_another_run_is_refused(
    trained_run: Run, tmp_path: Path, tiny_settings: MakeSettings
) -> None:
    path = tmp_path / "checkpoint.pt"
    shutil.copy(trained_run.folder / "linear_head.pt", tmp_path)
    shutil.copy(trained_run.folder / "checkpoint.pt", tmp_path)
    with pytest.raises(CheckpointError, match=r"with learning_rate 0\.001, not 0\.1"):
        train(tiny_settings(epochs=6, learning_rate=0.1), trained_run.photos, tmp_path)
    run_files.save_tensors(path, {**run_files.load_tensors(path), "format": 1})
    with pytest.raises(CheckpointError, match="written by an incompatible version"):
        train(tiny_settings(epochs=6), trained_run.photos, tmp_path)
    path.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="is corrupt"):
        train(tiny_settings(epochs=6), trained_run.photos, tmp_path)


def test_two_processes_take_the_step_of_one_with_the_double_batch(
    photo_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    """One step of 24 photos, with group normalisation.

    Batch normalisation depends on the batch of one process; from pretrained weights its statistics
    are frozen.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*tiny_options, "--backbone", "test_efficientnet_gn", "--epochs", "1"]
    options += ["--mixup", "0.3", "--batch-size"]
    finish(start(command(photo_folder, one, *options, "24")))
    two.mkdir()
    shutil.copy(one / "linear_head.pt", two)  # equal to the last bit
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    output = finish(start([*torchrun, *command(photo_folder, two, *options, "12")]))
    assert output.count("epoch 1/1") == 1  # only the leader prints
    saved = [run_files.load_tensors(folder / "checkpoint.pt") for folder in (one, two)]
    assert [document["rates"]["last_epoch"] for document in saved] == [1, 1]
    moments = [document["optimiser"]["state"] for document in saved]
    assert moments[0].keys() == moments[1].keys()
    for number, moment in moments[0].items():  # a tenth of the gradient, after one step
        torch.testing.assert_close(
            moment["exp_avg"], moments[1][number]["exp_avg"], rtol=1e-3, atol=1e-6
        )
    first, second = averaged_weights(one), averaged_weights(two)
    different = [(first[name] - second[name]).abs() > 1e-5 for name in first]
    # Adam's first step is the gradient's sign, which rounding decides if the gradient is 0.
    assert sum(int(m.sum()) for m in different) < 0.001 * sum(m.numel() for m in different)
    rows = [run_files.read_history(folder)[0] for folder in (one, two)]
    assert rows[0]["train_loss"] == pytest.approx(rows[1]["train_loss"], abs=1e-4)
    assert rows[0]["valid_loss"] == pytest.approx(rows[1]["valid_loss"], abs=1e-3)


def test_a_sagemaker_job_of_two_hosts_without_torchrun_trains_together(
    photo_folder: Path, tmp_path: Path, tiny_options: list[str]
) -> None:
    """As SageMaker's plain launcher starts it: hyperparameters are in SM_HPS and are options."""
    names = [option.removeprefix("--") for option in tiny_options[::2]]
    hyperparameters = dict(zip(names, tiny_options[1::2], strict=True)) | {
        "epochs": "1",
        "data": str(photo_folder),
    }
    options = [word for name, value in hyperparameters.items() for word in (f"--{name}", value)]
    processes = []
    port = str(free_port())
    for host in ("localhost", "localhost2"):
        job = tmp_path / host
        (job / "checkpoints").mkdir(parents=True)
        processes.append(
            start(
                [str(ROOT / "training" / "train.py"), *options],
                SM_HOSTS='["localhost", "localhost2"]',
                SM_CURRENT_HOST=host,
                SM_NETWORK_INTERFACE_NAME="lo",
                SM_MODEL_DIR=str(job / "model"),
                SM_HPS=json.dumps({**hyperparameters, "sagemaker_job_name": "x", "_tuning_x": "y"}),
                MASTER_PORT=port,
            )
        )
    try:
        outputs = [finish(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert "epoch 1/1: train_loss=" in outputs[0]
    assert "epoch" not in outputs[1]
    assert (tmp_path / "localhost" / "model" / "model.json").is_file()
    assert (tmp_path / "localhost" / "checkpoints" / "checkpoint.pt").is_file()
    assert not (tmp_path / "localhost2" / "model").exists()


def test_too_few_photos_for_a_batch_are_refused(
    photo_folder: Path, tmp_path: Path, tiny_settings: MakeSettings
) -> None:
    with pytest.raises(DataError, match="less than one batch of 500"):
        train(tiny_settings(batch_size=500), photo_folder, tmp_path)


def test_fine_tuning_without_held_out_photos_is_refused(
    head_run: Run, tiny_settings: MakeSettings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="set valid_fraction above 0"):
        train(tiny_settings(valid_fraction=0.0), head_run.photos, tmp_path)
