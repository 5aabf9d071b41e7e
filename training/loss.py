"""The loss: the right breed, without forgetting what a dog is."""

import torch
from torch import Tensor
from torch.nn import functional

from training.augmentation import Batch
from training.settings import TrainSettings
from training.training_set import TrainingSet


class Loss:
    """Weighted cross entropy over the breeds plus distillation of ImageNet's head.

    The distillation keeps the dog gate working (learning without forgetting, Li and Hoiem 2016):
    `imagenet` [photos, 1000] are the pretrained backbone's probabilities of all training photos.

    The loss is a mean of terms that depend on one photo each, so the mean over equal batches of
    several processes is the loss of the combined batch.
    """

    def __init__(self, photos: TrainingSet, imagenet: Tensor, settings: TrainSettings) -> None:
        self.targets = photos.targets
        self.weights = class_weights(photos.targets, len(photos.breeds), settings.balance)
        self.imagenet = imagenet
        self.label_smoothing = settings.label_smoothing
        self.gate_weight = settings.gate_weight

    def __call__(self, batch: Batch, breeds: Tensor, imagenet: Tensor) -> Tensor:
        """Return the loss of logits [N, breeds] and [N, 1000] for the photos of `batch`."""
        device = breeds.device
        share = batch.shares.to(device, torch.float32)
        loss = torch.zeros(len(batch.photos), device=device)
        for photos, part in ((batch.photos, share), (batch.partners, 1 - share)):
            targets = self.targets[photos].to(device)
            losses = functional.cross_entropy(
                breeds, targets, reduction="none", label_smoothing=self.label_smoothing
            )
            loss = loss + part * self.weights.to(device)[targets] * losses
            if self.gate_weight > 0:
                original = self.imagenet[photos].to(device, torch.float32)
                loss = loss + part * self.gate_weight * functional.cross_entropy(
                    imagenet, original, reduction="none"
                )
        return loss.mean()


def class_weights(targets: Tensor, classes: int, balance: float) -> Tensor:
    """Return the weight of a photo of each class, [classes], with mean 1 over the photos.

    `balance` 0 weights all photos alike, 1 all classes alike.
    """
    counts = torch.bincount(targets, minlength=classes).clamp(min=1).float()
    weights = (counts.mean() / counts) ** balance
    return weights / weights[targets].mean()
