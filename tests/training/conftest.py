"""Fixtures for training: a collection of generated pictures, and settings that train in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training import settings
from training.settings import TrainSettings

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
"""timm's backbone for tests, from random weights, on pictures of 64 pixels."""


def picture(breed: int, number: int) -> Image.Image:
    """A picture of stripes whose direction and colour are the breed's, different each time."""
    draw = np.random.default_rng((breed, number))
    rows, columns = np.mgrid[0:72, 0:80]
    waves = np.sin((rows if breed % 2 else columns) * (0.3 + 0.3 * breed) + draw.random() * 6)
    pixels = (
        90 + 60 * waves[..., np.newaxis] * np.eye(3)[breed % 3] + draw.normal(0, 9, (72, 80, 3))
    )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def collection_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated photos of three breeds in ImageFolder's layout, 8 to train on of each."""
    root = tmp_path_factory.mktemp("collection")
    for breed, name in enumerate(BREEDS):
        for split, count in (("train", 8), ("valid", 3), ("test", 3)):
            folder = root / split / f"{breed + 1:03}.{name}"
            folder.mkdir(parents=True)
            for number in range(count):
                seed = number + {"train": 0, "valid": 100, "test": 200}[split]
                picture(breed, seed).save(folder / f"{number}.png")
    (root / "other").mkdir()
    for number in range(4):
        picture(4, 300 + number).save(root / "other" / f"{number}.png")
    return root


@pytest.fixture
def tiny_settings() -> Callable[..., TrainSettings]:
    """Settings of a run of seconds, with whatever is given changed."""

    def make(**changes: Any) -> TrainSettings:
        return settings.train_settings({**TINY, **changes})

    return make


@pytest.fixture
def tiny_options() -> list[str]:
    """The same as options of a command line."""
    return [
        part
        for key, value in TINY.items()
        for part in (f"--{key.replace('_', '-')}", str(value).lower())
    ]
