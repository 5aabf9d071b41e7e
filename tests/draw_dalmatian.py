"""Draw docs/samples/dalmatian.png, a sample image without anyone else's copyright.

    python -m tests.draw_dalmatian

A Dalmatian sits on a lawn, drawn as curves and blurred spots at three times the final size, so that
the edges are smooth. Every run draws the same image.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "samples" / "dalmatian.png"
WIDTH, HEIGHT, SCALE = 480, 480, 3

Point = tuple[float, float]
Colour = tuple[int, int, int]

# Outlines: closed Catmull-Rom splines through these points, in pixels of the result.
# fmt: off
BODY = [(214, 196), (262, 190), (300, 214), (330, 268), (352, 330), (362, 392), (340, 432),
        (280, 440), (220, 440), (196, 400), (186, 330), (188, 262), (196, 220)]
CHEST = [(196, 210), (250, 205), (268, 260), (262, 340), (232, 400), (204, 380), (188, 300)]
FRONT_LEG_LEFT = [(196, 300), (232, 300), (230, 380), (228, 436), (236, 452), (190, 454),
                  (192, 436), (198, 380)]
FRONT_LEG_RIGHT = [(240, 300), (276, 296), (272, 380), (268, 438), (278, 454), (230, 456),
                   (236, 438), (240, 380)]
HAUNCH = [(300, 330), (344, 326), (374, 372), (380, 420), (368, 450), (300, 456), (286, 430),
          (284, 380)]
HIND_PAW = [(284, 436), (330, 430), (346, 446), (340, 458), (278, 460), (270, 450)]
TAIL = [(362, 420), (396, 428), (430, 412), (446, 384), (452, 388), (440, 424), (404, 446),
        (364, 448)]
HEAD = [(172, 92), (206, 66), (246, 66), (276, 92), (282, 132), (268, 170), (256, 206),
        (228, 222), (200, 208), (186, 172), (168, 134)]
MUZZLE = [(194, 150), (226, 140), (258, 150), (266, 184), (252, 214), (226, 222), (200, 214),
          (186, 184)]
EAR_LEFT = [(186, 83), (168, 88), (154, 117), (150, 149), (160, 165), (173, 152), (181, 122),
            (192, 98)]
EAR_RIGHT = [(263, 81), (282, 86), (298, 115), (303, 147), (294, 163), (281, 152), (271, 121),
             (258, 96)]
NOSE = [(206, 168), (226, 162), (246, 168), (242, 182), (226, 190), (210, 182)]
MOUTH = [(226, 188), (226, 200)]
# fmt: on


def spline(points: Sequence[Point], steps: int = 16) -> list[Point]:
    """Return the closed Catmull-Rom curve through `points`, in pixels of the large canvas."""

    def between(near: list[float], t: float) -> float:
        a, b, c, d = near
        cubic = (3 * b - a - 3 * c + d) * t**3
        return SCALE * 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + cubic)

    curve = []
    for index in range(len(points)):
        near = [points[(index + offset) % len(points)] for offset in (-1, 0, 1, 2)]
        for step in range(steps):
            t = step / steps
            x, y = (between([point[axis] for point in near], t) for axis in (0, 1))
            curve.append((x, y))
    return curve


def mask(points: Sequence[Point], blur_px: float = 0.7) -> Image.Image:
    """Return a mask of the area inside the outline, with a soft edge."""
    image = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE))
    ImageDraw.Draw(image).polygon(spline(points), fill=255)
    return image.filter(ImageFilter.GaussianBlur(blur_px * SCALE))


def shade(canvas: Image.Image, area: Image.Image, light: Colour, dark: Colour) -> None:
    """Paint `area` as a rounded body lit from the upper left."""
    depth = area.filter(ImageFilter.GaussianBlur(14 * SCALE))
    shifted = ImageChops.offset(depth, -7 * SCALE, -9 * SCALE)
    lit = ImageChops.multiply(shifted, shifted)
    canvas.paste(
        Image.composite(
            Image.new("RGB", canvas.size, light), Image.new("RGB", canvas.size, dark), lit
        ),
        mask=area,
    )


def speckle(canvas: Image.Image, area: Image.Image, count: int, sizes: Point, seed: int) -> None:
    """Paint uneven black spots inside `area` that do not touch each other."""
    random.seed(seed)
    left, top, right, bottom = area.getbbox() or (0, 0, 1, 1)
    spots = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(spots)
    taken: list[tuple[float, float, float]] = []
    for _ in range(count * 30):
        x, y = random.uniform(left, right), random.uniform(top, bottom)
        radius = random.uniform(*sizes) * SCALE
        if any(math.hypot(x - a, y - b) < radius + r + 3 * SCALE for a, b, r in taken):
            continue
        taken.append((x, y, radius))
        outline = [
            (
                x + radius * random.uniform(0.75, 1.2) * math.cos(angle),
                y + radius * random.uniform(0.75, 1.2) * math.sin(angle),
            )
            for angle in (math.tau * step / 10 for step in range(10))
        ]
        draw.polygon(outline, fill=255)
        if len(taken) == count:
            break
    soft = spots.filter(ImageFilter.GaussianBlur(1.0 * SCALE))
    canvas.paste((30, 28, 30), mask=ImageChops.multiply(soft, area))


def lawn(seed: int = 5) -> Image.Image:
    """Draw trees out of focus with grass in front of them."""
    random.seed(seed)
    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), (126, 150, 96))
    draw = ImageDraw.Draw(canvas)
    for _ in range(160):
        x, y = random.uniform(0, canvas.width), random.uniform(0, canvas.height * 0.72)
        radius = random.uniform(20, 70) * SCALE
        green = random.randint(90, 185)
        colour = (green - random.randint(20, 50), green, green - random.randint(50, 80))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    canvas = canvas.filter(ImageFilter.GaussianBlur(18 * SCALE))
    draw = ImageDraw.Draw(canvas)
    for _ in range(16_000):
        x = random.uniform(0, canvas.width)
        y = canvas.height * (0.68 + 0.36 * random.random() ** 0.8)
        length = (y / canvas.height - 0.5) * 44 * SCALE
        green = random.randint(90, 170)
        colour = (green - 38, green, green - 70)
        draw.line((x, y, x + random.uniform(-5, 5) * SCALE, y - length), fill=colour, width=SCALE)
    return canvas.filter(ImageFilter.GaussianBlur(0.6 * SCALE))


def draw_sample() -> Image.Image:
    """Draw the sample image: RGB, 480 x 480 pixels."""
    canvas = lawn()
    light, dark = (250, 248, 244), (150, 148, 150)
    shadow = mask([(150, 440), (260, 430), (400, 436), (430, 456), (300, 474), (160, 466)], 8)
    canvas.paste((52, 70, 34), mask=shadow.point(lambda value: value * 0.7))
    for part, spots, sizes, seed in (
        (TAIL, 7, (2.5, 4.5), 3),
        (BODY, 34, (4.5, 9.5), 1),
        (HAUNCH, 12, (4.5, 9.0), 2),
        (HIND_PAW, 5, (2.0, 3.5), 4),
        (CHEST, 12, (3.0, 7.0), 6),
        (FRONT_LEG_LEFT, 11, (2.5, 5.0), 7),
        (FRONT_LEG_RIGHT, 11, (2.5, 5.0), 8),
    ):
        area = mask(part)
        shade(canvas, area, light, dark)
        speckle(canvas, area, spots, sizes, seed)
    head = mask(HEAD)
    shade(canvas, head, light, (172, 168, 168))
    speckle(canvas, head, 20, (2.2, 4.6), 9)
    muzzle = mask(MUZZLE, 5)
    shade(canvas, muzzle, (252, 250, 247), (190, 184, 182))
    speckle(canvas, mask(MUZZLE), 14, (0.9, 1.8), 12)
    for ear in (EAR_LEFT, EAR_RIGHT):
        shade(canvas, mask(ear), (74, 70, 72), (16, 14, 16))
    shade(canvas, mask(NOSE), (70, 66, 68), (10, 8, 10))
    draw = ImageDraw.Draw(canvas)
    for x in (203, 250):
        _eye(draw, x, 126)
    _mouth(draw)
    return _grain(canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def _grain(image: Image.Image) -> Image.Image:
    """Add sensor noise, without which everything looks like plastic."""
    random.seed(11)
    noise = Image.frombytes("L", image.size, random.randbytes(image.width * image.height))
    soft = noise.filter(ImageFilter.GaussianBlur(0.8)).point(lambda value: (value - 128) // 3 + 128)
    return ImageChops.add(image, Image.merge("RGB", [soft] * 3), offset=-128)


def _disc(
    draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: Colour
) -> None:
    draw.ellipse(
        ((x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE), fill=fill
    )


def _eye(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    _disc(draw, x, y, 7, 5.4, (34, 28, 28))
    _disc(draw, x, y, 5, 4.6, (66, 40, 22))
    _disc(draw, x, y, 3.4, 3.6, (12, 8, 8))
    _disc(draw, x - 1.5, y - 1.6, 1.1, 1.1, (240, 240, 240))


def _mouth(draw: ImageDraw.ImageDraw) -> None:
    width = 2 * SCALE
    draw.line([(x * SCALE, y * SCALE) for x, y in MOUTH], fill=(60, 50, 52), width=width)
    for start, end, left in ((0, 110, 226), (70, 180, 196)):
        box = (left * SCALE, 186 * SCALE, (left + 30) * SCALE, 208 * SCALE)
        draw.arc(box, start, end, fill=(60, 50, 52), width=width)


if __name__ == "__main__":
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    draw_sample().save(OUTPUT, optimize=True)
