import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import SettingsError
from training import settings
from training.__main__ import COMMANDS
from training.default_paths import data_channel, model_folder, run_folder
from training.distributed import complete_environment


def test_every_key_is_an_option_with_its_comment_as_help() -> None:
    parser = argparse.ArgumentParser()
    settings.add_train_options(parser)
    told = parser.format_help()
    for key in settings.table("train"):
        assert f"--{key.replace('_', '-')}" in told
    for action in parser._actions[2:]:
        assert len(str(action.help)) > 25, action.dest


def test_options_beat_a_file_beats_sagemaker_beats_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hyperparameters = {"epochs": "7", "batch-size": 8, "seed": 5, "sagemaker_region": "x"}
    monkeypatch.setenv("SM_HPS", json.dumps(hyperparameters))
    (tmp_path / "tuned.toml").write_text("batch_size = 4\nmixup = 0.5\n")
    given = {"settings": tmp_path / "tuned.toml", "mixup": "0.25", "pretrained": "false"}
    monkeypatch.setattr(
        settings.sagemaker_hyperparameters,
        "__defaults__",
        ({"SM_HPS": json.dumps(hyperparameters)},),
    )
    found = settings.train_settings(given)
    assert (found.epochs, found.batch_size, found.mixup, found.seed) == (7, 4, 0.25, 5)
    assert found.pretrained is False


def test_a_wrong_value_names_itself() -> None:
    with pytest.raises(SettingsError, match="option epochs is 'many', not int"):
        settings.train_settings({"epochs": "many"})
    with pytest.raises(SettingsError, match="option pretrained is 'perhaps', not true or false"):
        settings.train_settings({"pretrained": "perhaps"})
    with pytest.raises(SettingsError, match="SM_HPS is not JSON"):
        settings.sagemaker_hyperparameters({"SM_HPS": "{"})


def test_a_job_s_folders() -> None:
    job = {"SM_CHANNEL_TRAINING": "/opt/ml/input/data/training", "SM_MODEL_DIR": "/opt/ml/model"}
    assert data_channel(job) == Path("/opt/ml/input/data/training")
    assert model_folder(job) == Path("/opt/ml/model")
    assert run_folder(job) == Path("/opt/ml/checkpoints")
    assert run_folder({}) == Path("runs/default")
    assert data_channel({}) is None


def test_hosts_without_torchrun_find_each_other() -> None:
    job = {"SM_HOSTS": '["algo-2", "algo-1"]', "SM_CURRENT_HOST": "algo-2"}
    complete_environment(job)
    assert (job["RANK"], job["WORLD_SIZE"], job["MASTER_ADDR"]) == ("1", "2", "algo-1")
    torchrun = {**job, "RANK": "0"}
    complete_environment(torchrun)
    assert torchrun["RANK"] == "0"


@pytest.mark.parametrize("name", ["data", "train", "evaluate", "export", "tune", "report"])
def test_help_has_an_example(name: str) -> None:
    assert name in COMMANDS
    told = subprocess.run(
        [sys.executable, "-m", "training", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"python -m training {name}" in told.partition("example")[2]
