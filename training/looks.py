"""Features of both looks at the training photos, computed with the code that serves them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model_code import framing
from model_code.artifact import InputSpec
from model_code.framing import Box
from model_code.images import DecodedImage
from training.backbones import Backbone
from training.distributed import World
from training.metrics import Floats
from training.model import BreedClassifier, dog_probability, location_map
from training.precision import autocast
from training.preprocessing import decode_served, normalise, served_batches
from training.second_look import rule
from training.settings import TrainSettings
from training.training_set import TrainingSet

_BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Extractor:
    """Computes features of the training photos; each process computes its share."""

    model: BreedClassifier
    backbone: Backbone
    photos: TrainingSet
    spec: InputSpec
    settings: TrainSettings
    world: World

    def first(self) -> Tensor:
        """Return the features of the first look at each photo, float32 [photos, F]."""
        share = self._share()
        with torch.no_grad(), self._autocast():
            batches = [
                self.model.features(self._input(batch)).cpu()
                for batch in served_batches(
                    [self.photos.train[n] for n in share], self.spec, title="features"
                )
            ]
        return self._gathered(share, torch.cat(batches))

    def second(self, weights: Tensor, biases: Tensor, fold: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the features of the second look at each photo and the photos' sizes.

        The features are float32 [photos, F], the sizes int64 [photos, 2], width and height. Photo n
        is located by head `fold[n]` of `weights` [heads, breeds, F] and `biases` [heads, breeds].
        Returns None if the network has no location map.
        """
        if not self.backbone.has_map:
            return None
        share, parts, sizes = self._share(), [], []
        starts = range(0, len(share), _BATCH_SIZE)
        for start in tqdm(starts, desc="second looks", unit="batch", leave=False, disable=None):
            numbers = share[start : start + _BATCH_SIZE]
            decoded = [decode_served(self.photos.train[n], self.spec) for n in numbers]
            sizes += [(image.width, image.height) for image in decoded]
            boxes = self._focus(decoded, weights[fold[numbers]], biases[fold[numbers]])
            with torch.no_grad(), self._autocast():
                parts.append(self.model.features(self._look(decoded, boxes)).cpu())
        return self._gathered(share, torch.cat(parts)), self._gathered(share, torch.tensor(sizes))

    @torch.no_grad()
    def _focus(self, images: Sequence[DecodedImage], weights: Tensor, biases: Tensor) -> list[Box]:
        """Return what the second look at each image shows, as the endpoint would with its head."""
        boxes = [framing.first_look(image.width, image.height, self.spec) for image in images]
        maps, dogs = self._locations(images, boxes, weights, biases)
        settings = rule(self.settings.model_dump())
        for number, image in enumerate(images):
            everything = framing.overview(image.width, image.height, dogs[number], settings)
            if everything is not None:
                one = slice(number, number + 1)
                boxes[number] = everything
                maps[one], _ = self._locations([image], [everything], weights[one], biases[one])
        return [
            framing.second_look(location, box, image.width, image.height, settings)
            for location, box, image in zip(maps, boxes, images, strict=True)
        ]

    def _locations(
        self, images: Sequence[DecodedImage], boxes: Sequence[Box], weights: Tensor, biases: Tensor
    ) -> tuple[Floats, list[float]]:
        """Return the location maps [N, rows, columns] and dog probabilities of these looks."""
        with self._autocast():
            features = self.model.trunk.forward_features(self._look(images, boxes))  # type: ignore[operator]
        features = features.float()
        pooled = features.mean(dim=(2, 3))
        dogs = dog_probability(self.model.imagenet(pooled)).tolist()
        features, pooled = features.cpu(), pooled.cpu()
        logits = (weights @ pooled[:, :, None]).squeeze(2) + biases
        return location_map(features, logits, weights).numpy(), dogs

    def _look(self, images: Sequence[DecodedImage], boxes: Sequence[Box]) -> Tensor:
        looks = [image.look(box) for image, box in zip(images, boxes, strict=True)]
        return self._input(np.stack(looks))

    def _input(self, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> Tensor:
        return normalise(pixels, self.backbone).to(next(self.model.parameters()).device)

    def _autocast(self) -> torch.autocast:
        return autocast(self.settings.precision, next(self.model.parameters()).device)

    def _share(self) -> list[int]:
        return self.photos.local[self.photos.rank :: self.photos.ranks]

    def _gathered(self, share: list[int], values: Tensor) -> Tensor:
        """Return the rows of all photos, from the shares of all processes."""
        shares = self.world.gather((share, values))
        order = torch.tensor([number for numbers, _ in shares for number in numbers])
        rows = torch.cat([part for _, part in shares])
        return torch.empty_like(rows).index_copy_(0, order, rows)
