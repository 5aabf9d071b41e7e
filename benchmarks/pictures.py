"""The pictures that are asked about: real photos where they are at hand, drawn ones elsewhere."""

import csv
import io
import random
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ROOT.parent / "shared" / "photos"
SAMPLE = ROOT / "docs" / "samples" / "dalmatian.png"
SIZE_PX = (500, 375)
"""What a picture on the web commonly measures."""


@cache
def payloads(count: int) -> tuple[bytes, ...]:
    """`count` JPEG files of dogs, the same ones in every run."""
    if (PHOTOS / "index.csv").is_file():
        with (PHOTOS / "index.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
        chosen = random.Random(7).sample(rows, count)
        return tuple((PHOTOS / row["file"]).read_bytes() for row in chosen)
    return tuple(_variant(seed) for seed in range(count))


def origin() -> str:
    """Which pictures `payloads` gives, in words, with their mean size."""
    kind = "photos" if (PHOTOS / "index.csv").is_file() else "drawn pictures"
    some = payloads(24)
    return f"{kind}, JPEG, {sum(map(len, some)) / len(some) / 1024:.0f} KiB in the mean"


def _variant(seed: int) -> bytes:
    """The sample picture, cropped, lit and grained by chance: no two files are the same."""
    chance = random.Random(seed)
    with Image.open(SAMPLE) as image:
        picture = image.convert("RGB")
    side = int(picture.width * chance.uniform(0.75, 1))
    left = chance.randint(0, picture.width - side)
    picture = picture.resize(SIZE_PX, box=(left, left, left + side, left + side * 3 // 4))
    picture = ImageEnhance.Brightness(picture).enhance(chance.uniform(0.8, 1.2))
    return jpeg(grained(picture, seed))


def grained(picture: Image.Image, seed: int, strength: float = 5.0) -> Image.Image:
    """`picture` with the grain of a sensor: without it a JPEG is small and decodes too fast."""
    grain = np.random.default_rng(seed).normal(0, strength, (picture.height, picture.width, 1))
    pixels = np.asarray(picture, np.float32) + grain.astype(np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
