"""The network: one trunk with a breed head and ImageNet's head, which is the dog gate."""

import torch
from torch import Tensor, nn
from torch.nn import functional

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


def location_map(features: Tensor, logits: Tensor, weights: Tensor) -> Tensor:
    """Return where the evidence for the likeliest breeds is, [N, rows, columns].

    `features` [N, F, rows, columns] are what the breed head reads the mean of. Mean and head
    commute, so each place has logits of its own (class activation map, Zhou et al. 2016). The map
    is their mean, weighted with the breeds' probabilities, above the mean of all breeds.
    `logits` [N, breeds] and `weights` [breeds, F], or [N, breeds, F], are the head's.
    """
    probabilities = torch.softmax(logits, dim=1)[:, None, :]
    relative = weights - weights.mean(dim=-2, keepdim=True)
    places = (probabilities @ relative) @ features.flatten(2)
    return places.reshape(features.shape[0], *features.shape[2:])


def dog_probability(imagenet_logits: Tensor) -> Tensor:
    """Return the summed probability of ImageNet's dog classes, [N], of logits [N, 1000]."""
    return torch.softmax(imagenet_logits, dim=1)[:, IMAGENET_DOGS].sum(dim=1)


class ServedModel(nn.Module):
    """The classifier with the outputs of the served graph.

    They are breed logits, dog probability and, if `has_map`, the evidence for each breed at each
    place, [N, breeds, rows, columns], from which `framing.location` makes a location map: as a
    convolution it costs less than the map itself would.
    """

    def __init__(self, classifier: BreedClassifier, has_map: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.has_map = has_map

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if not self.has_map:
            logits, imagenet = self.classifier(images)
            return logits, dog_probability(imagenet)
        features = self.classifier.trunk.forward_features(images)  # type: ignore[operator]
        breeds, imagenet = self.classifier.breeds, self.classifier.imagenet
        pooled = features.mean(dim=(2, 3), keepdim=True)
        evidence = functional.conv2d(features, _filters(breeds.weight - breeds.weight.mean(dim=0)))
        return (
            functional.conv2d(pooled, _filters(breeds.weight), breeds.bias).flatten(1),
            dog_probability(
                functional.conv2d(pooled, _filters(imagenet.weight), imagenet.bias).flatten(1)
            ),
            evidence,
        )


def _filters(weight: Tensor) -> Tensor:
    """Return the weight of a linear layer, [outputs, inputs], as filters of 1 x 1 pixel.

    OpenVINO runs them in a quarter of the time of a matrix product, 1 to 3 % of an inference.
    """
    return weight[:, :, None, None]
