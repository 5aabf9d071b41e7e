import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cli.errors import SettingsError
from training.__main__ import main
from training.settings import Choice, TrainSettings, TuneSettings

LOCAL_COMMANDS = ["data", "train", "evaluate", "export", "tune", "report"]


def test_options_override_a_file_which_overrides_sagemaker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hyperparameters = {"epochs": "7", "batch-size": 8, "seed": 5, "sagemaker_region": "x"}
    monkeypatch.setenv("SM_HPS", json.dumps(hyperparameters))
    file = tmp_path / "tuned.toml"
    file.write_text("[train]\nbatch_size = 4\nmixup = 0.5\n")
    settings = TrainSettings.read({"mixup": "0.25", "pretrained": "false"}, file=file)
    assert (settings.epochs, settings.batch_size, settings.mixup, settings.seed) == (7, 4, 0.25, 5)
    assert settings.pretrained is False


def test_hyperparameters_that_are_options_of_train_are_not_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SM_HPS", json.dumps({"data": "/opt/ml/input/data", "sharded": True}))
    assert TrainSettings.read().sharded


def test_an_unknown_hyperparameter_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SM_HPS", json.dumps({"learning-rat": 0.1}))
    with pytest.raises(SettingsError, match='SM_HPS: unknown key "learning_rat"'):
        TrainSettings.read()


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", "many"), ("pretrained", "perhaps"), ("crop", 0), ("label_smoothing", 1.0)],
)
def test_a_wrong_value_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"--{key.replace('_', '-')} is"):
        TrainSettings.read({key: value})


def test_every_setting_of_train_is_an_option_with_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--help"]) == 0
    output = capsys.readouterr().out
    for key, information in TrainSettings.model_fields.items():
        assert f"--{key.replace('_', '-')} " in output
        assert len(str(information.description)) > 10


@pytest.mark.parametrize("name", LOCAL_COMMANDS)
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"python -m training {name}" in capsys.readouterr().out.partition("example")[2]


def test_the_default_search_space_has_values_that_train_accepts() -> None:
    for name, entry in TuneSettings().space.items():
        values = entry.values if isinstance(entry, Choice) else (entry.low, entry.high)
        for value in values:
            TrainSettings.model_validate({name: value})


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("rate", {"type": "log", "low": 1, "high": 2}, 'unknown key "rate"'),
        ("epochs", {"type": "int", "low": 5, "high": 2}, "low 5 is above high 2"),
        ("mixup", {"type": "choice"}, "values"),
        ("mixup", {"type": "list", "values": [1]}, "type"),
    ],
)
def test_an_error_in_the_search_space_is_named(
    name: str, entry: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        TuneSettings.model_validate({"space": {name: entry}})
