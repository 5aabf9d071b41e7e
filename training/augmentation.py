"""Random changes of training photos; every draw is a function of seed, epoch and photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from training.preprocessing import Pixels
from training.settings import TrainSettings


def transform(settings: TrainSettings) -> v2.Transform:
    """Return the random crop, flip, colour jitter and erasing of a uint8 photo [3, H, W]."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(
                settings.train_size,
                scale=(settings.least_area, 1.0),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            ),
            v2.RandomHorizontalFlip(),
            # No hue: it takes 9 of 11 ms, and the coat's colour distinguishes breeds.
            v2.ColorJitter(settings.colour, settings.colour, settings.colour),
            v2.RandomErasing(settings.erasing, scale=(0.02, 0.2), value=127),
        ]
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Pixels uint8 [N, S, S, 3] with the indices [N] of the photos and of those mixed into them.

    `shares` [N] are the weights of the former in the mixtures.
    """

    pixels: Tensor
    photos: Tensor
    partners: Tensor
    shares: Tensor


class AugmentedPhotos(Dataset[tuple[Tensor, int, int, float]]):
    """Decoded photos, augmented differently in each epoch.

    Every draw is seeded by (seed, epoch, photo), so it does not depend on the process or worker
    that makes it, nor on interruptions. An item is (pixels, photo, partner, share); `indices` are
    the photos' indices in the whole training set.
    """

    def __init__(
        self, photos: Sequence[Pixels], indices: Sequence[int], settings: TrainSettings
    ) -> None:
        self.photos = photos
        self.indices = indices
        self.mixup = settings.mixup
        self.seed = settings.seed
        self.epoch = 0
        self._transform = transform(settings)

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, photo: int) -> tuple[Tensor, int, int, float]:
        draw = np.random.default_rng((self.seed, self.epoch, self.indices[photo]))
        partner, share = photo, 1.0
        if self.mixup > 0:
            partner = int(draw.integers(len(self.photos)))
            share = float(draw.beta(self.mixup, self.mixup))
            share = max(share, 1 - share)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(draw.integers(2**62)))
            pixels = self._augmented(photo)
            if share < 1:
                mixed = share * pixels.float() + (1 - share) * self._augmented(partner).float()
                pixels = mixed.round().to(torch.uint8)
        return pixels.permute(1, 2, 0), self.indices[photo], self.indices[partner], share

    def _augmented(self, photo: int) -> Tensor:
        pixels: Tensor = self._transform(torch.from_numpy(self.photos[photo]).permute(2, 0, 1))
        return pixels


def collate(items: Sequence[tuple[Tensor, int, int, float]]) -> Batch:
    """Turn the items of a step into one batch."""
    pixels, photos, partners, shares = zip(*items, strict=True)
    return Batch(
        torch.stack(pixels), torch.tensor(photos), torch.tensor(partners), torch.tensor(shares)
    )
