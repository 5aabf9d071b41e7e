"""Accuracy on split valid between epochs, with photos decoded as the endpoint decodes them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_code.artifact import InputSpec
from training.backbones import Backbone
from training.distributed import World
from training.model import BreedClassifier
from training.precision import autocast
from training.preprocessing import normalise, served_batches
from training.training_set import TrainingSet

_BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean cross entropy in nats, and top-1 and top-5 accuracy as fractions."""

    loss: float
    top1: float
    top5: float

    def row(self) -> dict[str, float]:
        """Return the values under their names in a run's history."""
        return {
            "valid_loss": round(self.loss, 5),
            "valid_top1": round(self.top1, 5),
            "valid_top5": round(self.top5, 5),
        }


class Validation:
    """This process's share of split valid, decoded once."""

    def __init__(
        self,
        photos: TrainingSet,
        spec: InputSpec,
        backbone: Backbone,
        world: World,
        precision: str,
    ) -> None:
        self._targets = photos.valid_targets[world.rank :: world.size]
        share = photos.valid[world.rank :: world.size]
        self._pixels = [
            square for batch in served_batches(share, spec, title="valid") for square in batch
        ]
        self._backbone = backbone
        self._world = world
        self._precision = precision

    @torch.no_grad()
    def accuracy(self, model: BreedClassifier) -> Accuracy:
        """Return the accuracy over all processes; NaN if there are no photos."""
        device = next(model.parameters()).device
        sums = torch.zeros(4, dtype=torch.float64)  # loss, top-1, top-5, photos
        for start in range(0, len(self._pixels), _BATCH_SIZE):
            batch = slice(start, start + _BATCH_SIZE)
            images = normalise(np.stack(self._pixels[batch]), self._backbone).to(device)
            with autocast(self._precision, device):
                logits, _ = model(images)
            sums += _sums(logits.float().cpu(), self._targets[batch])
        return _mean(self._world.sum(sums))


def accuracy_of(logits: Tensor, targets: Tensor) -> Accuracy:
    """Return the accuracy of logits float32 [N, classes] for targets int64 [N]."""
    return _mean(_sums(logits, targets))


def _sums(logits: Tensor, targets: Tensor) -> Tensor:
    """Return float64 [4]: summed loss, top-1 hits, top-5 hits, number of photos."""
    hits = logits.topk(min(5, logits.shape[1])).indices == targets[:, None]
    loss = functional.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([loss, hits[:, 0].sum(), hits.sum(), torch.tensor(len(targets))]).double()


def _mean(sums: Tensor) -> Accuracy:
    loss, top1, top5, photos = sums.tolist()
    if photos == 0:
        return Accuracy(float("nan"), float("nan"), float("nan"))
    return Accuracy(loss / photos, top1 / photos, top5 / photos)
