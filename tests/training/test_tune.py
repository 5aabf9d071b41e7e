import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.errors import SettingsError
from training import settings, tune
from training.__main__ import main
from training.settings import TrainSettings

SPACE = {
    "learning_rate": {"type": "log", "low": 1e-4, "high": 1e-2},
    "epochs": {"type": "int", "low": 1, "high": 2},
    "mixup": {"type": "choice", "values": [0.0, 0.2]},
}


def with_space(monkeypatch: pytest.MonkeyPatch, space: dict[str, object]) -> None:
    real = settings.table
    monkeypatch.setattr(
        settings,
        "table",
        lambda name: {**real(name), "space": space} if name == "tune" else real(name),
    )


def test_a_search_resumes_and_writes_what_train_takes(
    collection_folder: Path,
    tmp_path: Path,
    tiny_options: list[str],
    tiny_settings: Callable[..., TrainSettings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_space(monkeypatch, SPACE)
    call = ["tune", "--data", str(collection_folder), "--output", str(tmp_path), *tiny_options]
    assert main([*call, "--trials", "2"]) == 0
    assert "learning_rate" in capsys.readouterr().out
    assert main([*call, "--trials", "3", "--json"]) == 0
    lines = capsys.readouterr().out
    assert len(json.loads(lines[lines.index('{\n  "best"') :])["trials"]) == 3
    study = tune.search(tiny_settings(), tune.space(), collection_folder, tmp_path, 3)
    assert len(study.trials) == 3
    tuned = tomllib.loads((tmp_path / "tuned.toml").read_text())
    assert tuned == study.best_params
    chosen = settings.train_settings({"settings": tmp_path / "tuned.toml"})
    assert chosen.learning_rate == tuned["learning_rate"]
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")


def test_the_space_in_settings_is_sound() -> None:
    known = settings.table("train")
    for dimension in tune.space():
        kind = type(known[dimension.name])
        values = dimension.values or (dimension.low, dimension.high)
        assert all(isinstance(kind(value), kind) for value in values)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("rate", {"type": "log", "low": 1, "high": 2}),
        ("epochs", {"type": "int", "low": 5, "high": 2}),
        ("mixup", {"type": "choice"}),
    ],
)
def test_a_fault_in_the_space_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, entry: dict[str, object]
) -> None:
    with_space(monkeypatch, {name: entry})
    with pytest.raises(SettingsError, match=rf"\[tune.space\] {name}"):
        tune.space()
