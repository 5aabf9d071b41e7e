"""Decode photos and turn pixels into the network's input."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from model_code import decoding, framing, images
from model_code.artifact import InputSpec
from model_code.errors import ModelCodeError
from model_code.images import DecodedImage
from training.backbones import Backbone
from training.errors import DataError
from training.photos import Photo

Pixels = NDArray[np.uint8]


def decode(photos: Sequence[Photo], max_short_side_px: int) -> list[Pixels]:
    """Decode photos for augmentation: upright RGB, uint8 [H, W, 3], shrunk to the short side.

    3,000 photos at 300 px take a gigabyte. Raises DataError if a photo cannot be decoded.
    """
    decoded = []
    for photo in tqdm(photos, desc="decode", unit="photo", leave=False, disable=None):
        try:
            with decoding.open_photo(photo.path) as stored:
                image = ImageOps.exif_transpose(stored).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"Cannot decode {photo.path}: {error}.") from None
        scale = max_short_side_px / min(image.size)
        if scale < 1:
            size = (round(image.width * scale), round(image.height * scale))
            image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
        decoded.append(np.array(image))
    return decoded


def served_pixels(photo: Photo, spec: InputSpec) -> Pixels:
    """Return the first look at a photo, uint8 [S, S, 3]. Raises DataError."""
    image = decode_served(photo, spec)
    return image.look(framing.first_look(image.width, image.height, spec))


def decode_served(photo: Photo, spec: InputSpec) -> DecodedImage:
    """Decode a photo with the endpoint's code. Raises DataError."""
    try:
        return images.InputImage(photo.path.read_bytes()).decode(spec)
    except (ModelCodeError, OSError) as error:
        raise DataError(f"{photo.path}: {error}") from None


def served_batches(
    photos: Sequence[Photo], spec: InputSpec, batch_size: int = 32, title: str = "photos"
) -> Iterator[Pixels]:
    """Yield `served_pixels` in batches uint8 [N, S, S, 3], with a progress bar."""
    for start in tqdm(
        range(0, len(photos), batch_size), desc=title, unit="batch", leave=False, disable=None
    ):
        yield np.stack([served_pixels(photo, spec) for photo in photos[start : start + batch_size]])


def normalise(pixels: Pixels | Tensor, backbone: Backbone) -> Tensor:
    """Turn uint8 [N, S, S, 3] into the backbone's input, float32 [N, 3, S, S]."""
    tensor = torch.as_tensor(pixels).permute(0, 3, 1, 2).float()
    mean = torch.tensor(backbone.mean).view(3, 1, 1) * 255
    std = torch.tensor(backbone.std).view(3, 1, 1) * 255
    return ((tensor - mean) / std).contiguous(memory_format=torch.channels_last)
