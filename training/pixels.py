"""Photos as arrays in memory: decoded once, so that no epoch waits for a decoder."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model_code import images
from model_code.artifact import InputSpec
from model_code.errors import ModelCodeError
from training.backbones import Backbone
from training.errors import DataError
from training.photos import Photo

Pixels = NDArray[np.uint8]


def as_served(photo: Photo, spec: InputSpec) -> Pixels:
    """The square that the endpoint would show its model, uint8 [S, S, 3]. Raises `DataError`."""
    try:
        return images.InputImage(photo.path.read_bytes()).pixels(spec)
    except (ModelCodeError, OSError) as error:
        raise DataError(f"{photo.path}: {error}") from None


def batches_as_served(
    chosen: Sequence[Photo], spec: InputSpec, batch: int = 32, title: str = "photos"
) -> Iterator[Pixels]:
    """Batches uint8 [N, S, S, 3] in the order of `chosen`, with a progress bar."""
    for start in tqdm(
        range(0, len(chosen), batch), desc=title, unit="batch", leave=False, disable=None
    ):
        yield np.stack([as_served(photo, spec) for photo in chosen[start : start + batch]])


def normalised(pixels: Pixels | Tensor, backbone: Backbone) -> Tensor:
    """Images float32 [N, 3, S, S] as the backbone wants them, of uint8 [N, S, S, 3]."""
    images = torch.as_tensor(pixels).permute(0, 3, 1, 2).float()
    mean = torch.tensor(backbone.mean).view(3, 1, 1) * 255
    std = torch.tensor(backbone.std).view(3, 1, 1) * 255
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
