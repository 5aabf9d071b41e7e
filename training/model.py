"""The network: one trunk, a head for the breeds, and ImageNet's head as the dog gate."""

import torch
from torch import Tensor, nn

from training import backbones
from training.backbones import IMAGENET_DOGS, Backbone


class BreedClassifier(nn.Module):
    """Breed logits and dog probability from one pass through the backbone.

    The gate is ImageNet's own head, never trained on: the probability it gives to the 118 breeds
    of dog that it knows among 1000 classes. Fine-tuning moves the features under it; `train`
    holds them with a distillation loss towards the untouched network.
    """

    def __init__(self, backbone: Backbone, breeds: int) -> None:
        super().__init__()
        self.trunk = backbone.network
        self.imagenet = backbone.network.get_classifier()  # type: ignore[operator]
        self.imagenet.requires_grad_(False)
        backbone.network.reset_classifier(0, "avg")  # type: ignore[operator]
        self.breeds = nn.Linear(backbone.features, breeds)

    def features(self, images: Tensor) -> Tensor:
        """Pooled features, float32 [N, features], of normalised images [N, 3, S, S]."""
        return backbones.pooled(self.trunk, images).float()

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Breed logits [N, breeds] and ImageNet logits [N, 1000] of pooled features."""
        return self.breeds(features), self.imagenet(features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Breed logits [N, breeds] and ImageNet logits [N, 1000] of normalised images."""
        return self.heads(self.features(images))


def dog_probability(imagenet_logits: Tensor) -> Tensor:
    """How sure ImageNet's head is of a dog, [N] in 0..1, from its logits [N, 1000]."""
    return torch.softmax(imagenet_logits, dim=1)[:, IMAGENET_DOGS].sum(dim=1)


class Served(nn.Module):
    """The classifier with the two outputs that the endpoint's graph has."""

    def __init__(self, classifier: BreedClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, imagenet = self.classifier(images)
        return logits, dog_probability(imagenet)
