"""The files of a run's folder: the trained model, its history, and tensors in general.

checkpoint.pt    state of an unfinished run (checkpoint.py)
linear_head.pt   the fitted head (linear_head.py)
model.pt         the trained model: see `TrainedModel`
history.jsonl    one line per epoch: losses, accuracies, learning rate, seconds per phase
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cli.files import write_atomically
from training import backbones
from training.errors import CheckpointError
from training.model import BreedClassifier

MODEL_FILE = "model.pt"
HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The result of training: weights, breeds and input size.

    `state` holds the weights after `epoch`, the best one (0: the linear head alone), and
    `valid_top1` their accuracy on held-out photos. `data` is the fingerprint of the photos,
    `commit` that of the code, `job` the job or run in AWS. If there was no split valid, `held_out`
    holds the cross-validation of the head for one or two looks at each photo: `logits` float32
    [N, looks, breeds], `dog_probabilities` float32 [N, looks], `targets` int64 [N] and, for two
    looks, `sizes` int64 [N, 2], width and height in pixels.
    """

    backbone: str
    breeds: list[str]
    size: int
    crop: float
    state: Mapping[str, Tensor]
    epoch: int
    valid_top1: float
    settings: dict[str, Any]
    data: str
    command: str
    held_out: Mapping[str, Tensor] | None = None
    commit: str | None = None
    job: str | None = None

    def network(self) -> BreedClassifier:
        """Build the classifier with these weights, in inference mode."""
        backbone = backbones.create(self.backbone, pretrained=False)
        classifier = BreedClassifier(backbone, len(self.breeds))
        classifier.load_state_dict(self.state)
        return classifier.eval()

    def save(self, folder: Path) -> None:
        save_tensors(folder / MODEL_FILE, {name: getattr(self, name) for name in self.__slots__})


def load_model(folder: Path) -> TrainedModel:
    """Load the trained model of a run. Raises CheckpointError if it is missing or corrupt."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist. Run `python -m training train` first.")
    try:
        return TrainedModel(**load_tensors(path))
    except TypeError:
        raise CheckpointError(f"{path} was written by an incompatible version. Retrain.") from None


def save_tensors(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` to `path` atomically, for `load_tensors`."""
    stream = io.BytesIO()
    torch.save(dict(document), stream)
    write_atomically(path, stream.getvalue())


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote, to the CPU. Raises CheckpointError if it is corrupt."""
    try:
        document: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on any exception of zipfile and pickle
        raise CheckpointError(f"{path} is corrupt: {type(error).__name__}.") from None
    return document


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return one row per finished epoch of a run."""
    path = folder / HISTORY_FILE
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
