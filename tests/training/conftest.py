"""Fixtures for training: generated photos, settings of a run of seconds, and finished runs."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.__main__ import main
from training.distributed import World
from training.settings import TrainSettings
from training.trainer import Trainer

BREEDS = ("Basenji", "Borzoi", "Briard")
TINY = {
    "backbone": "test_efficientnet",
    "pretrained": False,
    "size": 64,
    "train_size": 64,
    "cache_size": 64,
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 0.001,
    "layer_decay": 0.9,
    "checkpoint_steps": 2,
    "precision": "fp32",
    "threads": 1,
}
"""timm's backbone for tests, from random weights, on photos of 64 pixels."""
STEPS = 6
"""Steps per epoch: 24 photos in batches of 4."""

MakeSettings = Callable[..., TrainSettings]


@dataclass(frozen=True)
class Run:
    """A finished run and its photos."""

    folder: Path
    photos: Path


def tiny_train_settings(**changes: Any) -> TrainSettings:
    return TrainSettings.model_validate({**TINY, **changes})


def striped_photo(breed: int, number: int) -> Image.Image:
    """Draw stripes with the direction and colour of a breed, different for each number."""
    draw = np.random.default_rng((breed, number))
    rows, columns = np.mgrid[0:72, 0:80]
    waves = np.sin((rows if breed % 2 else columns) * (0.3 + 0.3 * breed) + draw.random() * 6)
    pixels = (
        90 + 60 * waves[..., np.newaxis] * np.eye(3)[breed % 3] + draw.normal(0, 9, (72, 80, 3))
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three breeds in ImageFolder's layout, 8 of each to train on."""
    root = tmp_path_factory.mktemp("photos")
    for breed, name in enumerate(BREEDS):
        for split, count in (("train", 8), ("valid", 3), ("test", 3)):
            folder = root / split / f"{breed + 1:03}.{name}"
            folder.mkdir(parents=True)
            for number in range(count):
                seed = number + {"train": 0, "valid": 100, "test": 200}[split]
                striped_photo(breed, seed).save(folder / f"{number}.png")
    (root / "other").mkdir()
    for number in range(4):
        striped_photo(4, 300 + number).save(root / "other" / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def tiny_settings() -> MakeSettings:
    """Make settings of a run of seconds, with the given changes."""
    return tiny_train_settings


@pytest.fixture
def tiny_options() -> list[str]:
    """The same settings as options of a command."""
    return [
        part
        for key, value in TINY.items()
        for part in (f"--{key.replace('_', '-')}", str(value).lower())
    ]


@pytest.fixture(scope="session")
def trained_run(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of six epochs. Tests copy its folder before they change it."""
    folder = tmp_path_factory.mktemp("run")
    Trainer(tiny_train_settings(epochs=6), photo_folder, folder, World()).train()
    return Run(folder, photo_folder)


@pytest.fixture(scope="session")
def head_run(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the linear head alone, without a split valid."""
    folder, photos = tmp_path_factory.mktemp("head"), tmp_path_factory.mktemp("no-valid")
    shutil.copytree(photo_folder, photos, dirs_exist_ok=True)
    shutil.rmtree(photos / "valid")
    settings = tiny_train_settings(epochs=0, valid_fraction=0.0, probe_penalty=0.0001)
    Trainer(settings, photos, folder, World()).train()
    return Run(folder, photos)


@pytest.fixture(scope="session")
def exported(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of the finished run."""
    output = tmp_path_factory.mktemp("artifact")
    options = ["--run", str(trained_run.folder), "--data", str(trained_run.photos)]
    assert main(["export", *options, "--output", str(output), "--version", "2026.1.2"]) == 0
    return output
