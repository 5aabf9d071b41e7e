"""Crops, mirror images and cut-outs of drawn scenes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from training import near_copies
from training.photos import Photo


def scene(seed: int, size: tuple[int, int] = (400, 300)) -> Image.Image:
    """Many ellipses of random colours, sizes and places."""
    draw = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(draw.integers(0, 256, 3).tolist()))
    canvas = ImageDraw.Draw(image)
    for _ in range(150):
        x, y = int(draw.integers(size[0])), int(draw.integers(size[1]))
        width, height = draw.integers(8, 60, 2).tolist()
        colour = tuple(draw.integers(0, 256, 3).tolist())
        canvas.ellipse((x, y, x + width, y + height), fill=colour)
    return image


def framed(image: Image.Image) -> Image.Image:
    """A white frame, as shops put around their photos."""
    return ImageOps.expand(image, 40, "white")


VARIANTS = {
    "crop": lambda image: image.crop((80, 60, 320, 260)),
    "mirrored": ImageOps.mirror,
    "mirrored crop, smaller and darker": lambda image: ImageEnhance.Brightness(
        ImageOps.mirror(image.crop((100, 30, 380, 270))).resize((210, 180))
    ).enhance(0.7),
    "squashed": lambda image: image.resize((300, 300)),
    "in a frame": framed,
}


def pairs(folder: Path, *images: Image.Image) -> list[tuple[int, int]]:
    photos = []
    for number, image in enumerate(images):
        path = folder / f"{number}.jpg"
        image.save(path, quality=80)
        photos.append(Photo(path, "test" if number == 0 else "train", "Puli", str(number)))
    return near_copies.find(photos, lambda one, two: one.split != two.split)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_picture(tmp_path: Path, variant: str) -> None:
    assert pairs(tmp_path, scene(1), scene(2), VARIANTS[variant](scene(1))) == [(0, 2)]


def test_only_pairs_that_may_pair_are_compared(tmp_path: Path) -> None:
    assert pairs(tmp_path, scene(1), scene(2), scene(2).crop((80, 60, 320, 260))) == []


def test_equal_frames_are_not_the_same_picture(tmp_path: Path) -> None:
    assert pairs(tmp_path, framed(scene(1)), framed(scene(2)), framed(scene(3))) == []
