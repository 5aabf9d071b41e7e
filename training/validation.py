"""How good the weights are between two epochs: split valid, seen as the endpoint sees photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model_code.artifact import InputSpec
from training import pixels
from training.backbones import Backbone
from training.distributed import World
from training.model import BreedClassifier
from training.photos import Photo
from training.precision import autocast

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean cross entropy in nats and parts of 1, over the photos of all processes."""

    loss: float
    top1: float
    top5: float

    def row(self) -> dict[str, float]:
        """The figures under their names in a run's history."""
        return {
            "valid_loss": round(self.loss, 5),
            "valid_top1": round(self.top1, 5),
            "valid_top5": round(self.top5, 5),
        }


class Validation:
    """This process's share of split valid, decoded once."""

    def __init__(
        self,
        photos: Sequence[Photo],
        targets: Tensor,
        spec: InputSpec,
        backbone: Backbone,
        world: World,
        precision: str,
    ) -> None:
        mine = range(world.rank, len(photos), world.size)
        self._targets = targets[list(mine)]
        self._pixels: list[NDArray[np.uint8]] = [
            square
            for batch in pixels.batches_as_served([photos[n] for n in mine], spec, title="valid")
            for square in batch
        ]
        self._backbone = backbone
        self._world = world
        self._precision = precision

    @torch.no_grad()
    def accuracy(self, model: BreedClassifier) -> Accuracy:
        """The accuracy of `model` over all processes; NaN where there are no photos."""
        device = next(model.parameters()).device
        sums = torch.zeros(4, dtype=torch.float64)  # loss, top-1, top-5, photos
        for start in range(0, len(self._pixels), _BATCH):
            batch = np.stack(self._pixels[start : start + _BATCH])
            targets = self._targets[start : start + _BATCH]
            images = pixels.normalised(batch, self._backbone).to(device)
            with autocast(self._precision, device):
                logits, _ = model(images)
            sums += _sums(logits.float().cpu(), targets)
        return _mean(self._world.sum(sums))


def accuracy_of(logits: Tensor, targets: Tensor) -> Accuracy:
    """The accuracy of logits float32 [N, classes] that are there already; targets int64 [N]."""
    return _mean(_sums(logits, targets))


def _sums(logits: Tensor, targets: Tensor) -> Tensor:
    """Loss, photos right at the first and within five guesses, and photos, all float64."""
    best = logits.topk(min(5, logits.shape[1])).indices == targets[:, None]
    loss = functional.cross_entropy(logits, targets, reduction="sum")
    counts = (best[:, 0].sum(), best.sum(), torch.tensor(len(targets)))
    return torch.stack([loss, *counts]).double()


def _mean(sums: Tensor) -> Accuracy:
    loss, top1, top5, photos = sums.tolist()
    if photos == 0:
        return Accuracy(float("nan"), float("nan"), float("nan"))
    return Accuracy(loss / photos, top1 / photos, top5 / photos)
