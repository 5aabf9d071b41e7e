"""A run on disk: `runs/NAME/` with the trained model, what made it, and how it went.

checkpoint.pt   everything that is needed to go on (checkpoint.py)
model.pt        the weights to serve and what they mean: see `TrainedModel`
history.jsonl   one line an epoch: losses, accuracies, learning rate, seconds of each phase
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import backbones
from training.errors import CheckpointError
from training.model import BreedClassifier

MODEL_FILE = "model.pt"
HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The product of `train`: weights, the classes they tell apart and the input they want.

    The weights are those of the end of `epoch`, the best one (0: the head alone, best.py), and
    `valid_top1` is their accuracy on photos held out.
    `settings` are those of the run; `data` is the fingerprint of its photos. A head that was
    trained without a split valid was cross-validated: `held_out` then has the `logits`
    float32 [N, breeds], `targets` int64 [N] and `dog_probabilities` float32 [N] of its photos.
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

    def network(self) -> BreedClassifier:
        """The classifier with these weights, ready for inference."""
        classifier = BreedClassifier(
            backbones.create(self.backbone, pretrained=False), len(self.breeds)
        )
        classifier.load_state_dict(self.state)
        return classifier.eval()


def save_model(folder: Path, model: TrainedModel) -> None:
    """Write `model.pt` into `folder`, whole or not at all."""
    document = {field: getattr(model, field) for field in TrainedModel.__slots__}
    save_atomically(folder / MODEL_FILE, document)


def load_model(folder: Path) -> TrainedModel:
    """The trained model in `folder`. Raises `CheckpointError` where there is none, or a wreck."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; run python -m training train first")
    try:
        return TrainedModel(**load_tensors(path))
    except TypeError:
        raise CheckpointError(f"{path} is of another version of this program: train anew") from None


def load_tensors(path: Path) -> dict[str, Any]:
    """What `save_atomically` wrote, on the CPU. Raises `CheckpointError` for a damaged file."""
    try:
        document: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever zipfile and pickle do
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}") from None
    return document


def save_atomically(path: Path, document: Mapping[str, Any]) -> None:
    """Write tensors to `path` so that a reader finds the old file or the new, never a part."""
    aside = path.with_suffix(".writing")
    with aside.open("wb") as stream:
        torch.save(dict(document), stream)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    aside = path.with_name(path.name + ".writing")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def write_history(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `history.jsonl`: one JSON object an epoch."""
    write_text(folder / HISTORY_FILE, "".join(json.dumps(row) + "\n" for row in rows))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a run so far; none where it has not finished one."""
    path = folder / HISTORY_FILE
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
