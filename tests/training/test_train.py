import shutil
from pathlib import Path

import pytest

from tests.training.conftest import Run
from training import run_files
from training.__main__ import main


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--learning-rate", "fast", '--learning-rate is "fast"'),
        ("--epochs", "-1", "--epochs is"),
        ("--backbone", "resnet51", 'timm has no backbone "resnet51"'),
        ("--data", "nowhere", "nowhere does not exist"),
        ("--precision", "fp8", '--precision is "fp8"'),
    ],
)
def test_a_user_error_is_one_line(
    photo_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
    option: str,
    value: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--data", str(photo_folder), "--output", str(tmp_path), *tiny_options]
    assert main(["train", *options, option, value]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_photos_are_those_of_sagemakers_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SM_CHANNEL_TRAINING", str(tmp_path / "channel"))
    assert main(["train", "--output", str(tmp_path)]) == 1
    assert f"{tmp_path / 'channel'} does not exist" in capsys.readouterr().err


def test_photos_are_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--output", str(tmp_path)]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err


def test_a_finished_run_has_nothing_left_to_train_unless_fresh(
    trained_run: Run, tmp_path: Path, tiny_options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained_run.folder, folder)
    options = ["--data", str(trained_run.photos), "--output", str(folder), *tiny_options]
    assert main(["train", *options, "--epochs", "6"]) == 0
    assert "resuming in epoch 7" in capsys.readouterr().out
    assert main(["train", *options, "--epochs", "1", "--fresh"]) == 0
    assert "resuming" not in capsys.readouterr().out
    assert [row["epoch"] for row in run_files.read_history(folder)] == [1]
