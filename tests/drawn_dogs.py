"""Drawings of dogs of five breeds, as many as are wanted: pictures to train on that are ours.

Each is a portrait, different in coat, pose, light and background, and the same again for the same
name. Retrievers come in colours that overlap, so that there is something to learn, and to mistake.
"""

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE_PX, SCALE = 160, 2

Colour = tuple[int, int, int]

WHITE, GOLD, YELLOW = (244, 240, 232), (206, 142, 62), (226, 190, 126)
TAN, BROWN, BLACK = (186, 130, 76), (98, 62, 40), (44, 40, 42)
NOSE, TONGUE = (28, 22, 24), (216, 98, 108)
COATS: dict[str, tuple[Colour, ...]] = {
    "Dalmatian": (WHITE,),
    "German_shepherd_dog": (TAN,),
    "Golden_retriever": (GOLD, YELLOW),
    "Labrador_retriever": (YELLOW, BROWN, BLACK),
    "Poodle": (WHITE, BLACK, GOLD),
}
SPLITS = {"train": 16, "valid": 8, "test": 8}


def write(root: Path) -> Path:
    """Draw a collection in ImageFolder's layout below `root`, and return it."""
    for number, breed in enumerate(COATS, start=1):
        for split, count in SPLITS.items():
            folder = root / split / f"{number:03}.{breed}"
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                portrait(breed, f"{split}{index}").save(folder / f"{index:02}.jpg", quality=88)
    return root


def portrait(breed: str, name: str) -> Image.Image:
    """The dog `name` of a breed of `COATS`: RGB, square."""
    chance = random.Random(f"{breed}/{name}")
    canvas = _landscape(chance)
    draw = ImageDraw.Draw(canvas)
    coat = _varied(chance, chance.choice(COATS[breed]), 16)
    dark = _shade(coat, 0.72)
    _disc(draw, 80, 168, 50, 52, dark)  # shoulders
    _ears(draw, chance, breed, coat, dark, front=False)
    _disc(draw, 80, 82, 37, 40, coat)
    if breed == "German_shepherd_dog":
        _disc(draw, 80, 68, 25, 25, BLACK)
    if breed == "Dalmatian":
        for _ in range(chance.randint(14, 20)):
            angle, distance = chance.uniform(0, math.tau), math.sqrt(chance.random())
            x, y = 80 + 31 * distance * math.cos(angle), 84 + 34 * distance * math.sin(angle)
            radius = chance.uniform(2, 5)
            _disc(draw, x, y, radius, radius * 0.9, BLACK)
    muzzle = BLACK if breed == "German_shepherd_dog" else _shade(coat, 1.12)
    _disc(draw, 80, 106, 21, 20, muzzle)
    _ears(draw, chance, breed, coat, dark, front=True)
    for x in (65, 95):
        _disc(draw, x, 78, 5, 5.4, (34, 24, 18))
        _disc(draw, x - 1.5, 76, 1.5, 1.5, (250, 250, 250))
    if chance.random() < 0.5:
        _disc(draw, 80, 124, 6, 11, TONGUE)
    _disc(draw, 80, 98, 9, 6.5, NOSE)
    return _photographed(canvas, chance)


def _ears(
    draw: ImageDraw.ImageDraw,
    chance: random.Random,
    breed: str,
    coat: Colour,
    dark: Colour,
    *,
    front: bool,
) -> None:
    """Pointed ears stand behind the head; others hang in front of it, long fur in curls."""
    for side in (-1, 1):
        if breed == "German_shepherd_dog" and not front:
            tip = 80 + side * (40 + chance.uniform(-4, 4))
            outline = [(80 + side * 8, 52), (tip, 16), (80 + side * 36, 72)]
            _polygon(draw, outline, BLACK)
        elif breed in ("Dalmatian", "Labrador_retriever") and front:
            ear = BLACK if breed == "Dalmatian" else dark
            _disc(draw, 80 + side * 38, 76, 10, 24, ear)
        elif breed == "Golden_retriever" and front:
            for y in range(58, 112, 9):
                _disc(draw, 80 + side * (38 + chance.uniform(-3, 3)), y, 10, 11, dark)
    if breed == "Poodle" and not front:
        for _ in range(46):
            x, y = chance.triangular(40, 120), chance.triangular(26, 76)
            _disc(draw, x, y, 11, 11, _varied(chance, coat, 14))
    if breed == "Poodle" and front:
        for side in (-1, 1):
            for y in range(66, 118, 7):
                x = 80 + side * (42 + chance.uniform(-5, 5))
                _disc(draw, x, y, 11, 10, _varied(chance, dark, 12))


def _landscape(chance: random.Random) -> Image.Image:
    """Sky over a meadow, out of focus."""
    side = SIDE_PX * SCALE
    canvas = Image.new("RGB", (side, side), _varied(chance, (164, 196, 222), 30))
    draw = ImageDraw.Draw(canvas)
    _disc(draw, chance.uniform(0, 160), 190, 170, chance.uniform(70, 110), (112, 146, 84))
    for _ in range(24):
        x, y = chance.uniform(0, 160), chance.uniform(60, 160)
        radius = chance.uniform(6, 18)
        _disc(draw, x, y, radius, radius, _varied(chance, (106, 140, 80), 30))
    return canvas.filter(ImageFilter.GaussianBlur(5 * SCALE))


def _photographed(canvas: Image.Image, chance: random.Random) -> Image.Image:
    """The drawing as a camera sees it: turned, cropped, lit, with grain."""
    turned = canvas.rotate(
        chance.uniform(-22, 22), Image.Resampling.BICUBIC, fillcolor=(120, 150, 96)
    )
    margin = chance.uniform(0, 0.3) * turned.width
    left, top = chance.uniform(0, margin), chance.uniform(0, margin)
    box = (left, top, left + turned.width - margin, top + turned.width - margin)
    small = turned.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, box)
    grain = np.random.default_rng(chance.getrandbits(32)).normal(0, 11, (SIDE_PX, SIDE_PX, 1))
    pixels = np.asarray(small, np.float32) * chance.uniform(0.55, 1.15) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _varied(chance: random.Random, colour: Colour, by: int) -> Colour:
    light = chance.randint(-by, by)
    red, green, blue = (min(255, max(0, part + light + chance.randint(-4, 4))) for part in colour)
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue


def _disc(
    draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: Colour
) -> None:
    draw.ellipse([SCALE * edge for edge in (x - rx, y - ry, x + rx, y + ry)], fill=fill)


def _polygon(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], fill: Colour) -> None:
    draw.polygon([(SCALE * x, SCALE * y) for x, y in points], fill=fill)
