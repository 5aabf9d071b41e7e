"""Draw the sample images, which are no one else's copyright.

    python -m tests.draw_samples

A dog sits on a lawn, drawn as curves and blurred spots at three times the final size, so that the
edges are smooth. Every run draws the same images: PNGs in docs/samples, small ones in
chalicelib/page.json for the page's buttons, and the image of link previews.
"""

import base64
import io
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "docs" / "samples"
PAGE_DATA = ROOT / "chalicelib" / "page.json"
PREVIEW = ROOT / "chalicelib" / "preview.jpg"
THUMBNAIL_PX = 240
WIDTH, HEIGHT, SCALE = 480, 480, 3

Point = tuple[float, float]
Colour = tuple[int, int, int]
Shades = tuple[Colour, Colour]
"""The colours of a part in the light and in the shadow."""

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
LONG_EAR_LEFT = [(186, 88), (164, 100), (146, 150), (140, 205), (154, 228), (172, 210), (182, 150),
                 (192, 100)]
LONG_EAR_RIGHT = [(266, 88), (288, 100), (306, 150), (312, 205), (298, 228), (280, 210), (270, 150),
                  (260, 100)]
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


@dataclass(frozen=True)
class Coat:
    """The colours of a dog's parts. `fur_px` is the length of its hairs, 0 for a smooth coat."""

    body: Shades
    head: Shades
    muzzle: Shades
    ears: Shades
    long_ears: bool = False
    spotted: bool = False
    fur_px: int = 0


DALMATIAN = Coat(
    body=((250, 248, 244), (150, 148, 150)),
    head=((250, 248, 244), (172, 168, 168)),
    muzzle=((252, 250, 247), (190, 184, 182)),
    ears=((74, 70, 72), (16, 14, 16)),
    spotted=True,
)
_RED = ((160, 95, 50), (80, 45, 20))
DACHSHUND = Coat(_RED, _RED, _RED, ears=((110, 60, 30), (50, 25, 10)), long_ears=True)
_GREY = ((150, 150, 155), (80, 80, 86))
BEDLINGTON = Coat(_GREY, _GREY, _GREY, _GREY, long_ears=True, fur_px=8)
SAMPLES = {"Dalmatian": DALMATIAN, "Dachshund": DACHSHUND, "Bedlington terrier": BEDLINGTON}


def draw_sample(coat: Coat) -> Image.Image:
    """Draw a sample image: RGB, 480 x 480 pixels."""
    canvas = lawn()
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
        area = _coated(canvas, part, coat.body, coat.fur_px, seed)
        if coat.spotted:
            speckle(canvas, area, spots, sizes, seed)
    head = _coated(canvas, HEAD, coat.head, coat.fur_px * 2 // 3, 9)
    if coat.spotted:
        speckle(canvas, head, 20, (2.2, 4.6), 9)
    muzzle = mask(MUZZLE, 5)
    shade(canvas, muzzle, *coat.muzzle)
    if coat.spotted:
        speckle(canvas, mask(MUZZLE), 14, (0.9, 1.8), 12)
    ears = (LONG_EAR_LEFT, LONG_EAR_RIGHT) if coat.long_ears else (EAR_LEFT, EAR_RIGHT)
    for ear in ears:
        _coated(canvas, ear, coat.ears, coat.fur_px, 10)
    shade(canvas, mask(NOSE), (70, 66, 68), (10, 8, 10))
    draw = ImageDraw.Draw(canvas)
    for x in (203, 250):
        _eye(draw, x, 126)
    _mouth(draw)
    return _grain(canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def _coated(
    canvas: Image.Image, part: Sequence[Point], shades: Shades, fur_px: int, seed: int
) -> Image.Image:
    """Paint a part of the dog, and its hairs if it has any. Return the part's mask."""
    area = mask(part, 3 if fur_px else 0.7)
    shade(canvas, area, *shades)
    if fur_px:
        random.seed(seed)
        left, top, right, bottom = area.getbbox() or (0, 0, 1, 1)
        hairy = canvas.copy()
        draw = ImageDraw.Draw(hairy)
        for _ in range(2500):
            x, y = random.randrange(left, right), random.randrange(top, bottom)
            base = canvas.getpixel((x, y))
            assert isinstance(base, tuple)
            lighter = random.uniform(0.75, 1.2)
            end = (
                x + random.uniform(-0.5, 0.5) * fur_px * SCALE,
                y + random.uniform(0.4, 1) * fur_px * SCALE,
            )
            colour = tuple(min(255, int(value * lighter)) for value in base)
            draw.line(((x, y), end), fill=colour, width=SCALE)
        canvas.paste(hairy.filter(ImageFilter.GaussianBlur(0.4 * SCALE)), mask=area)
    return area


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


def _data_url(image: Image.Image) -> str:
    stream = io.BytesIO()
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    image.resize(size, Image.Resampling.LANCZOS).save(stream, "WEBP", quality=60, method=6)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()


def main() -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    page_data = json.loads(PAGE_DATA.read_text(encoding="utf-8"))
    page_data["samples"] = {}
    for breed, coat in SAMPLES.items():
        image = draw_sample(coat)
        image.save(OUTPUT / f"{breed.split()[0].lower()}.png", optimize=True)
        page_data["samples"][breed] = _data_url(image)
    write_page_data(page_data)
    head = draw_sample(DALMATIAN).crop((0, 30, WIDTH, 30 + WIDTH * 315 // 600))  # 1.91 : 1
    head.resize((600, 315), Image.Resampling.LANCZOS).save(PREVIEW, quality=45, optimize=True)


def write_page_data(page_data: dict[str, dict[str, object]]) -> None:
    """Write page.json with one entry per line."""
    parts = []
    for key, entries in page_data.items():
        lines = [
            f"    {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in entries.items()
        ]
        parts.append(f'  "{key}": {{\n' + ",\n".join(lines) + "\n  }")
    PAGE_DATA.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
