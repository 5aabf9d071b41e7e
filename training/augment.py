"""What training does to photos before the model sees them, each draw a function of its seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from training.errors import DataError
from training.photos import Photo


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far training strays from the photo as it is.

    `size_px` is the side of the square; `least_area` the smallest part of the photo that a random
    crop keeps; `colour` the strength of brightness, contrast and saturation jitter; `erasing` the
    probability that a rectangle is blanked; `mixup` the Beta parameter of mixing two photos.
    """

    size_px: int
    least_area: float
    colour: float
    erasing: float
    mixup: float

    def transform(self) -> v2.Transform:
        """Random crop, flip, colour and erasing of a uint8 picture [3, H, W]."""
        return v2.Compose(
            [
                v2.RandomResizedCrop(
                    self.size_px,
                    scale=(self.least_area, 1.0),
                    interpolation=v2.InterpolationMode.BICUBIC,
                    antialias=True,
                ),
                v2.RandomHorizontalFlip(),
                # No hue: it would take 9 of 11 ms, and a coat's colour tells breeds apart.
                v2.ColorJitter(self.colour, self.colour, self.colour),
                v2.RandomErasing(self.erasing, scale=(0.02, 0.2), value=127),
            ]
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Pixels uint8 [N, S, S, 3]; the photos they show, [N], the photos mixed into them, [N], and
    the share of the first in each mixture, [N]."""

    pixels: Tensor
    photos: Tensor
    partners: Tensor
    shares: Tensor


class AugmentedPhotos(Dataset[tuple[Tensor, int, int, float]]):
    """Decoded photos in memory, augmented anew each epoch.

    Every draw is seeded by (seed, epoch, photo): it does not matter which process or worker makes
    it, nor whether training was interrupted before. An item is (pixels, photo, partner, share),
    photos being named by their `numbers` in the whole collection.
    """

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        numbers: Sequence[int],
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.pictures = pictures
        self.numbers = numbers
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self._transform = augmentation.transform()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, photo: int) -> tuple[Tensor, int, int, float]:
        draw = np.random.default_rng((self.seed, self.epoch, self.numbers[photo]))
        partner, share = photo, 1.0
        if self.augmentation.mixup > 0:
            partner = int(draw.integers(len(self.pictures)))
            share = float(draw.beta(self.augmentation.mixup, self.augmentation.mixup))
            share = max(share, 1 - share)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(draw.integers(2**62)))
            pixels = self._augmented(photo)
            if share < 1:
                mixed = share * pixels.float() + (1 - share) * self._augmented(partner).float()
                pixels = mixed.round().to(torch.uint8)
        return pixels.permute(1, 2, 0), self.numbers[photo], self.numbers[partner], share

    def _augmented(self, photo: int) -> Tensor:
        pixels: Tensor = self._transform(torch.from_numpy(self.pictures[photo]).permute(2, 0, 1))
        return pixels


def collate(items: Sequence[tuple[Tensor, int, int, float]]) -> Batch:
    """The items of a step as one batch."""
    pixels, photos, partners, shares = zip(*items, strict=True)
    return Batch(
        torch.stack(pixels), torch.tensor(photos), torch.tensor(partners), torch.tensor(shares)
    )


def decode(photos: Sequence[Photo], short_side_px: int) -> list[NDArray[np.uint8]]:
    """The photos upright in RGB, uint8 [H, W, 3], no larger than `short_side_px` on the short side.

    Decoding once and keeping a small copy makes augmentation cheap: 3,000 photos at 300 px are a
    gigabyte. Raises `DataError` for a photo that cannot be decoded.
    """
    pictures = []
    for photo in tqdm(photos, desc="decode", unit="photo", leave=False, disable=None):
        try:
            with Image.open(photo.path) as stored:
                picture = ImageOps.exif_transpose(stored).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{photo.path} cannot be decoded: {error}") from None
        scale = short_side_px / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        pictures.append(np.array(picture))
    return pictures
