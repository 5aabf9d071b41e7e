"""What training minimises: the right breed, without forgetting what a dog is."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.augment import Batch


@dataclass(frozen=True, slots=True)
class Objective:
    """Weighted cross entropy over the breeds, plus distillation of ImageNet's head.

    `targets` int64 [photos] are the breeds of all photos, `weights` float32 [breeds] those of the
    class balance, `imagenet` float [photos, 1000] the probabilities that the untouched backbone
    gives (learning without forgetting, Li and Hoiem 2016): they keep the dog gate where it was.

    The loss is a mean over the batch of terms that each depend on one photo only, so the mean over
    equal batches of several processes is the loss of the batches put together.
    """

    targets: Tensor
    weights: Tensor
    imagenet: Tensor
    label_smoothing: float
    gate_weight: float

    def __call__(self, batch: Batch, breeds: Tensor, imagenet: Tensor) -> Tensor:
        """The loss of logits [N, breeds] and [N, 1000] for the photos of `batch`."""
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
                kept = self.imagenet[photos].to(device, torch.float32)
                loss = loss + part * self.gate_weight * functional.cross_entropy(
                    imagenet, kept, reduction="none"
                )
        return loss.mean()
