"""The images that benchmarks send: photos of a folder, otherwise drawings."""

import io
import os
import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
SIZE_PX = (500, 375)
"""A common size on web pages."""
PHOTOS_VARIABLE = "BENCH_PHOTOS"
"""Environment variable with a folder of JPEG photos of dogs."""


@cache
def payloads(count: int) -> tuple[bytes, ...]:
    """Return `count` JPEG files of dogs, the same ones in every run."""
    if folder := os.environ.get(PHOTOS_VARIABLE):
        files = sorted(file for file in Path(folder).rglob("*") if file.suffix.lower() == ".jpg")
        return tuple(file.read_bytes() for file in random.Random(7).sample(files, count))
    return tuple(_variant(seed) for seed in range(count))


def description() -> str:
    """Describe the payloads and their mean size."""
    kind = "photos" if os.environ.get(PHOTOS_VARIABLE) else "drawings"
    files = payloads(24)
    return f"{kind}, JPEG, {sum(map(len, files)) / len(files) / 1024:.0f} KiB on average"


def _variant(seed: int) -> bytes:
    """The sample image with a random crop, brightness and grain: no two files are equal."""
    generator = random.Random(seed)
    with Image.open(SAMPLE) as sample:
        image = sample.convert("RGB")
    side = int(image.width * generator.uniform(0.75, 1))
    left = generator.randint(0, image.width - side)
    image = image.resize(SIZE_PX, box=(left, left, left + side, left + side * 3 // 4))
    image = ImageEnhance.Brightness(image).enhance(generator.uniform(0.8, 1.2))
    return jpeg(add_grain(image, seed))


def add_grain(image: Image.Image, seed: int, strength: float = 5.0) -> Image.Image:
    """Add a sensor's noise: without it a JPEG is small and decodes too fast."""
    grain = np.random.default_rng(seed).normal(0, strength, (image.height, image.width, 1))
    pixels = np.asarray(image, np.float32) + grain.astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """Encode an image."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
