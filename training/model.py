"""The network: one trunk with a breed head and ImageNet's head, which is the dog gate."""

import torch
from torch import Tensor, nn

from training import backbones
from training.backbones import IMAGENET_DOGS, Backbone


class BreedClassifier(nn.Module):
    """Breed logits and ImageNet logits from one pass through the backbone.

    The dog gate is ImageNet's head, which is not trained: the probability that it gives to the 118
    dog breeds among its 1000 classes. Fine-tuning changes the features that it reads; a
    distillation loss limits that (loss.py).
    """

    def __init__(self, backbone: Backbone, breeds: int) -> None:
        super().__init__()
        self.trunk = backbone.network
        self.imagenet = backbone.network.get_classifier()  # type: ignore[operator]
        self.imagenet.requires_grad_(False)
        backbone.network.reset_classifier(0, "avg")  # type: ignore[operator]
        self.breeds = nn.Linear(backbone.features, breeds)

    def features(self, images: Tensor) -> Tensor:
        """Return pooled features, float32 [N, features], of normalised images [N, 3, S, S]."""
        return backbones.pooled(self.trunk, images).float()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return breed logits [N, breeds] and ImageNet logits [N, 1000] of normalised images."""
        features = self.features(images)
        return self.breeds(features), self.imagenet(features)


def dog_probability(imagenet_logits: Tensor) -> Tensor:
    """Return the summed probability of ImageNet's dog classes, [N], of logits [N, 1000]."""
    return torch.softmax(imagenet_logits, dim=1)[:, IMAGENET_DOGS].sum(dim=1)


class ServedModel(nn.Module):
    """The classifier with the two outputs of the served graph: breed logits, dog probability."""

    def __init__(self, classifier: BreedClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, imagenet = self.classifier(images)
        return logits, dog_probability(imagenet)
