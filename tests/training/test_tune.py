import json
import tomllib
from pathlib import Path

import pytest

from tests.training.conftest import MakeSettings
from training import tune
from training.__main__ import main
from training.settings import TrainSettings, TuneSettings

SPACE = """
[tune.space]
learning_rate = {type = "log", low = 1e-4, high = 1e-2}
epochs = {type = "int", low = 1, high = 2}
mixup = {type = "choice", values = [0.0, 0.2]}
"""


def test_a_search_resumes_and_writes_settings_for_train(
    photo_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
    tiny_settings: MakeSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, space = tmp_path / "tune", tmp_path / "space.toml"
    space.write_text(SPACE)
    call = ["tune", "--data", str(photo_folder), "--output", str(output)]
    call += ["--settings", str(space), *tiny_options]
    assert main([*call, "--trials", "2"]) == 0
    assert "learning_rate" in capsys.readouterr().out
    assert main([*call, "--trials", "3", "--json"]) == 0
    printed = capsys.readouterr().out
    assert len(json.loads(printed[printed.index('{\n  "best"') :])["trials"]) == 3
    settings = TuneSettings.read({"trials": 3}, file=space)
    study = tune.search(settings, tiny_settings(), photo_folder, output)
    assert len(study.trials) == 3
    assert tomllib.loads((output / "tuned.toml").read_text()) == {"train": study.best_params}
    tuned = TrainSettings.read(file=output / "tuned.toml")
    assert tuned.learning_rate == study.best_params["learning_rate"]
    assert (output / "tune.png").read_bytes().startswith(b"\x89PNG")
