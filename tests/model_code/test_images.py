import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_code import images
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.images import InputImage

SPEC = InputSpec(size_px=32, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))
ORIENTATION_TAG = 0x0112
Encode = Callable[..., bytes]


def corners(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """An image that looks different in every orientation: red, green, blue, white."""
    width, height = size
    image = Image.new("RGB", size, "red")
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=(0, 255, 0))
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=(0, 0, 255))
    draw.rectangle((width // 2, height // 2, width, height), fill="white")
    return image


def pixels(payload: bytes, spec: InputSpec = SPEC) -> np.ndarray:
    decoded = InputImage(payload).pixels(spec)
    assert decoded.shape == (spec.size_px, spec.size_px, 3)
    assert decoded.dtype == np.uint8
    return decoded.astype(int)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize(("format", "tolerance"), [("PNG", 0), ("JPEG", 8), ("WEBP", 8)])
def test_formats(encode: Encode, format: str, tolerance: float) -> None:
    payload = encode(corners((80, 60)), format)
    image = InputImage(payload)
    assert (image.format, image.width, image.height) == (format, 80, 60)
    reference = np.asarray(corners((60, 60)).resize((32, 32), Image.Resampling.HAMMING)).astype(int)
    assert difference(pixels(encode(corners((60, 60)), format)), reference) <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_all_orientations_end_upright(encode: Encode, format: str, orientation: int) -> None:
    """Stored turned and tagged, as cameras do."""
    turned_back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = corners((80, 60))
    stored = upright if turned_back is None else upright.transpose(turned_back)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    payload = encode(stored, format, exif=exif, quality=95)
    image = InputImage(payload)
    assert (image.width, image.height) == (80, 60)
    assert difference(pixels(payload), pixels(encode(upright, format, quality=95))) < 3


def test_the_crop_is_the_centre(encode: Encode) -> None:
    image = Image.new("RGB", (300, 100), "red")
    ImageDraw.Draw(image).rectangle((100, 0, 199, 99), fill="blue")
    half = InputSpec(size_px=16, crop=0.5, mean=(0, 0, 0), std=(1, 1, 1))
    for payload in (encode(image), encode(image.transpose(Image.Transpose.ROTATE_90))):
        assert (pixels(payload, half) == (0, 0, 255)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_odd_sizes(encode: Encode, size: tuple[int, int]) -> None:
    assert (pixels(encode(Image.new("RGB", size, (10, 200, 30)))) == (10, 200, 30)).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("LA", (0, 0), (255, 255, 255)),
        ("P", 0, None),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("I;16", 40_000, (156, 156, 156)),
    ],
)
def test_modes_of_png(encode: Encode, mode: str, colour: Any, expected: Any) -> None:
    image = Image.new(mode, (40, 40), colour)
    rgb = np.asarray(image.convert("RGB"))[0, 0] if expected is None else expected
    assert (pixels(encode(image)) == rgb).all()


def test_cmyk_and_grey_jpegs(encode: Encode) -> None:
    red = encode(Image.new("RGB", (40, 40), "red").convert("CMYK"), "JPEG")
    assert difference(pixels(red), pixels(encode("red", "JPEG"))) < 3
    assert difference(pixels(encode(Image.new("L", (40, 40), 77), "JPEG")), np.array(77)) < 2


def test_a_transparent_colour_is_white(encode: Encode) -> None:
    payload = encode(Image.new("RGB", (40, 40), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert (pixels(payload) == 255).all()


def test_an_animation_shows_its_first_frame(encode: Encode) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    for format in ("PNG", "WEBP"):
        payload = encode(
            frames[0], format, save_all=True, append_images=frames[1:], **{"duration": 100}
        )
        assert difference(pixels(payload), np.array((255, 0, 0))) < 3


def test_a_large_jpeg_looks_like_a_small_one(encode: Encode) -> None:
    """Large JPEGs are decoded at a reduced size, which must not be visible."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize(
        (4000, 3000), Image.Resampling.BICUBIC
    )
    spec = InputSpec(size_px=260, crop=0.9, mean=(0, 0, 0), std=(1, 1, 1))
    large = pixels(encode(smooth, "JPEG", quality=90), spec)
    exact = pixels(encode(smooth.resize((640, 480), Image.Resampling.LANCZOS)), spec)
    assert difference(large, exact) < 1.5


def test_the_format_is_read_from_the_bytes(encode: Encode) -> None:
    assert InputImage(encode("red", "PNG")).format == "PNG"


@pytest.mark.parametrize(
    "make",
    [
        lambda encode: b"",
        lambda encode: b"<html></html>",
        lambda encode: encode("red", "PPM"),
        lambda encode: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        lambda encode: encode("red", "JPEG")[:20],
    ],
)
def test_other_formats_are_never_parsed(encode: Encode, make: Callable[[Encode], bytes]) -> None:
    with pytest.raises(NotAnImage):
        InputImage(make(encode))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_truncated_files_are_refused(encode: Encode, format: str) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8))
    payload = encode(noise, format)
    with pytest.raises(NotAnImage):
        pixels(payload[: len(payload) // 2])


def test_corrupt_metadata_is_ignored(encode: Encode) -> None:
    payload = encode("blue", "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert difference(pixels(payload), np.array((0, 0, 254))) < 3


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, depth: int, rows: bytes, *more: bytes) -> bytes:
    """An RGB PNG with the chunks `more` before its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = (png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", zlib.compress(rows)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body) + png_chunk(b"IEND", b"")


def bomb_png(width: int, height: int) -> bytes:
    """A PNG that declares a size but contains no pixels."""
    return png(width, height, 8, b"")


def test_sixteen_bits_a_colour() -> None:
    row = b"\0" + struct.pack(">HHH", 65535, 32896, 257) * 40
    assert (pixels(png(40, 40, 16, row * 40)) == (255, 128, 1)).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_huge_colour_profile_is_ignored(encode: Encode, format: str) -> None:
    # a PNG's is compressed, and Pillow unpacks 1 MiB of metadata at the most
    size = 1_000_000 if format == "PNG" else 2_000_000
    payload = encode("blue", format, icc_profile=bytes(size))
    assert difference(pixels(payload), pixels(encode("blue", format))) == 0


def test_text_that_unpacks_to_gigabytes_is_never_unpacked() -> None:
    """A compressed comment of 100 MB in 100 KB; Pillow refuses, or reads past it."""
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    row = b"\0" + b"\0\0\xff" * 40
    tracemalloc.start()
    try:
        decoded = pixels(png(40, 40, 8, row * 40, bomb))
        assert (decoded == (0, 0, 255)).all()
    except NotAnImage:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_polyglots(encode: Encode) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("evil.html", "<script>alert(1)</script>")
    image = encode("red")
    assert (pixels(image + archive.getvalue()) == (255, 0, 0)).all()
    for head in (b"<html>", b"%PDF-1.4\n", b"GIF89a", b"#!/bin/sh\n"):
        with pytest.raises(NotAnImage):
            InputImage(head + image)


@pytest.mark.parametrize("side", [6_400, 9_500, 13_000, 60_000])
def test_too_many_pixels_are_refused_by_the_header_alone(side: int) -> None:
    with pytest.raises(ImageTooLarge, match="megapixels"):
        InputImage(bomb_png(side, side))


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="bytes"):
        InputImage(b"\xff\xd8\xff" + bytes(images.MAX_PAYLOAD_BYTES))


def test_zero_pixels() -> None:
    with pytest.raises(NotAnImage):
        InputImage(bomb_png(0, 10)).pixels(SPEC)


def test_pixels_can_be_read_twice(encode: Encode) -> None:
    image = InputImage(encode(corners((4000, 3000)), "JPEG"))
    assert (image.pixels(SPEC) == image.pixels(SPEC)).all()
