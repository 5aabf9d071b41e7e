"""Formats other than JPEG, PNG and WebP: what is decoded, turned, limited and refused by name."""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from model_code import formats, inference
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.images import InputImage
from model_code.inference import Model
from model_code.prediction import Prediction
from tests import hostile_formats
from tests.conftest import PhotoCollection
from tests.hostile_formats import bmp, gif, tiff
from tests.hostile_images import encode, photo
from tests.model_code.test_images import corners, difference, pixels

ENCODINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("AVIF", "AVIF", {"quality": 90}),
    ("AVIF", "AVIF", {"quality": 90, "subsampling": "4:4:4"}),
    ("HEIC", "HEIF", {"quality": 90}),
    ("HEIC", "HEIF", {"quality": -1, "chroma": 444}),
    ("HEIC", "HEIF", {"quality": 90, "tile_size": 64}),
    ("BMP", "BMP", {}),
    ("TIFF", "TIFF", {}),
    ("TIFF", "TIFF", {"big_tiff": True}),
    ("TIFF", "TIFF", {"compression": "packbits"}),
    ("TIFF", "TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", "TIFF", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", "TIFF", {"compression": "jpeg", "quality": 95}),
    ("JPEG", "MPO", {"quality": 95}),
)
IMAGE = photo(320, 240)
BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposition that undoes each


@pytest.mark.parametrize(("format", "pillow", "options"), ENCODINGS)
def test_encodings(format: str, pillow: str, options: dict[str, Any]) -> None:
    payload = encode(IMAGE, pillow, **options)
    image = InputImage(payload)
    assert (image.format, image.width, image.height) == (format, 320, 240)
    assert image.format in formats.NAMES
    assert difference(pixels(payload), pixels(encode(IMAGE, "PNG"))) < 4  # of 255: lossy codecs


def test_gif() -> None:
    colours = corners((80, 60))
    payload = encode(colours, "GIF")
    image = InputImage(payload)
    assert (image.format, image.width, image.height) == ("GIF", 80, 60)
    assert difference(pixels(payload), pixels(encode(colours, "PNG"))) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF"])
def test_all_orientations_end_upright(format: str, orientation: int) -> None:
    upright = corners((80, 60))
    turn = BACK.get(orientation)
    stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    payload = encode(stored, format, exif=exif.tobytes(), quality=95)
    image = InputImage(payload)
    assert (image.width, image.height) == (80, 60)
    assert difference(pixels(payload), pixels(encode(upright, "PNG"))) < 4


@pytest.mark.parametrize(
    ("format", "mode", "colour", "expected"),
    [
        ("GIF", "L", 77, (77, 77, 77)),
        ("BMP", "1", 1, (255, 255, 255)),
        ("BMP", "L", 77, (77, 77, 77)),
        ("BMP", "P", 0, (0, 0, 0)),
        ("TIFF", "1", 1, (255, 255, 255)),
        ("TIFF", "L", 77, (77, 77, 77)),
        ("TIFF", "LA", (0, 0), (255, 255, 255)),
        ("TIFF", "RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("TIFF", "RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("TIFF", "CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("TIFF", "I;16", 40_000, (156, 156, 156)),
        ("TIFF", "I;16B", 40_000, (156, 156, 156)),
        ("AVIF", "L", 77, (77, 77, 77)),
        ("AVIF", "RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("HEIF", "L", 77, (77, 77, 77)),
        ("HEIF", "RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("HEIF", "I;16", 40_000, (156, 156, 156)),
    ],
)
def test_modes(format: str, mode: str, colour: Any, expected: tuple[int, int, int]) -> None:
    payload = encode(Image.new(mode, (64, 64), colour), format)
    assert difference(pixels(payload), np.array(expected)) < 3


def test_sixteen_bits_and_planes_in_tiff() -> None:
    sixteen = np.full((40, 40, 3), (65_535, 32_896, 257), "<u2").tobytes()
    assert (pixels(tiff(40, 40, [sixteen], bits=16)) == (255, 128, 1)).all()
    planes = [bytes([value]) * 1600 for value in (200, 100, 50)]
    assert (pixels(tiff(40, 40, planes, planar=2)) == (200, 100, 50)).all()


def test_the_first_frame_is_the_image() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    for format in ("GIF", "TIFF", "AVIF", "HEIF"):
        payload = encode(frames[0], format, save_all=True, append_images=frames[1:])
        assert difference(pixels(payload), np.array((255, 0, 0))) < 4, format


def test_a_gif_whose_frame_is_not_its_canvas() -> None:
    for canvas, offset in (
        ((65_535, 65_535), (0, 0)),
        ((64, 48), (60_000, 60_000)),
        ((0, 0), (0, 0)),
    ):
        image = InputImage(gif(64, 48, canvas, offset))
        assert (image.width, image.height, image.heavy) == (64, 48, False)
        assert (image.pixels(InputSpec(8, 1.0, (0, 0, 0), (1, 1, 1))) == (0, 1, 2)).all()


def test_metadata_and_other_items_of_a_heif_change_nothing() -> None:
    plain = encode(IMAGE, "HEIF", quality=80)
    rich = encode(IMAGE, "HEIF", quality=80, exif=b"Exif\0\0garbage", xmp=b"<x/>", thumbnails=[64],
                  icc_profile=bytes(500))  # fmt: skip
    assert np.array_equal(pixels(rich), pixels(plain))
    assert len(InputImage(rich)._structure.payload) <= len(InputImage(plain)._structure.payload)


def test_brands_do_not_decide_between_avif_and_heic() -> None:
    for format, name in (("AVIF", "AVIF"), ("HEIF", "HEIC")):
        payload = encode(IMAGE, format)
        for brand in (b"mif1", b"msf1", b"avif", b"heic", b"heix", b"avis", b"hevc"):
            image = InputImage(payload[:8] + brand + payload[12:])
            assert image.format == name
        assert difference(pixels(payload), pixels(encode(IMAGE, "PNG"))) < 8


def bmff(brand: bytes, *others: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
REFUSED: tuple[tuple[str, bytes], ...] = (
    ("an SVG", SVG),
    ("an SVG", b"\xef\xbb\xbf \n" + SVG),
    ("an SVG", b'<?xml version="1.0"?>\n<!-- a > b -->\n' + SVG),
    ("an SVG", b'<!DOCTYPE svg PUBLIC "x" "y" [<!ENTITY a "b">]>' + SVG),
    ("an SVG", b"<!--" + b"x" * 30_000 + b"-->" + SVG),
    ("an SVG", b"<svg:svg xmlns:svg='x'>"),
    ("an SVG", SVG.decode().encode("utf-16")),
    ("a web page", b"<!doctype html><title>x</title>"),
    ("a web page", b"<!-- a --><HTML>"),
    ("a PDF", b"%PDF-1.7\n"),
    ("a PostScript file", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    ("a JPEG XL", b"\xff\x0a\xfa\x1f"),
    ("a JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("a JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("a JPEG 2000", b"\xff\x4f\xff\x51\0"),
    ("a Photoshop file", b"8BPS\0\1"),
    ("an icon", b"\0\0\1\0\1\0"),
    ("a video", bmff(b"isom", b"mp42")),
    ("a video", bmff(b"qt  ")),
    ("a video", b"\x1aE\xdf\xa3webm"),
    ("a camera RAW file", b"II*\0\x10\0\0\0CR\2\0"),
    ("a camera RAW file", bmff(b"crx ", b"isom")),
    ("a camera RAW file", b"FUJIFILMCCD-RAW 0201"),
    ("a camera RAW file", b"IIRO\x08\0\0\0"),
    ("a camera RAW file", b"IIU\0\x08\0\0\0"),
    ("a camera RAW file", b"FOVb\0\0"),
    ("a ZIP archive", b"PK\x03\x04"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "payload"), REFUSED)
def test_others_are_refused_by_name(name: str, payload: bytes) -> None:
    with pytest.raises(NotAnImage) as caught:
        InputImage(payload + bytes(100) if payload[:1] != b"<" else payload)
    assert str(caught.value) == f"This is {name}; send JPEG, PNG, WebP, AVIF, HEIC or GIF."


@pytest.mark.parametrize(
    "extra",
    [
        ((50706, 1, 4, 0x0401),),  # DNGVersion
        ((254, 4, 1, 1), (330, 4, 1, 8)),  # a preview in front of sub-directories: NEF, ARW
    ],
)
def test_raw_files_that_are_a_tiff(extra: Any) -> None:
    with pytest.raises(NotAnImage, match="This is a camera RAW file"):
        InputImage(tiff(8, 8, [bytes(192)], extra=extra))
    with pytest.raises(NotAnImage, match="This is a camera RAW file"):
        InputImage(tiff(8, 8, [bytes(64)], samples=1, photometric=32803))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (gif(7000, 7000, data=b"\0"), "49.0 megapixels; the limit is 40"),
        (gif(64, 48, extra=b"!\xfe\0" * 50_000), "more than 40000 blocks"),
        (bmp(2**31 - 1, -(2**31 - 1), 24, data=bytes(99)), "the limit is 40"),
        (bmp(3000, 3000, 8, 1, bytes(99)), "the limit for a compressed BMP is 4"),
        (tiff(6000, 6000, [b"0"], 8), "36.0 megapixels; the limit for a TIFF is 32"),
        (tiff(6000, 6000, [b"0"], 8, 16, 4), "a TIFF with 64 bits per pixel is 16"),
        (tiff(100, 100, [b""] * 20_001, 8), "more than 20000 strips or tiles"),
    ],
)
def test_limits_are_named(payload: bytes, message: str) -> None:
    with pytest.raises(ImageTooLarge, match=message):
        InputImage(payload)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"GIF89a", "The GIF is damaged"),
        (bmp(100, 100, 24), "The BMP is cut off"),
        (bmp(0, 100, 24), "The BMP is damaged"),
        (bmp(9, 9, 24, 5), "The BMP is compressed with method 5"),
        (tiff(9, 9, [bytes(9)], 34712), "The TIFF is compressed with method 34712"),
        (tiff(9, 9, [bytes(9)], photometric=8), "The TIFF has colours of type 8"),
        (tiff(9, 9, [bytes(9)], bits=12), "The TIFF has samples of 12 bits"),
        (tiff(9, 9, [bytes(9_000)], repeat=9), "its strips or tiles"),
        (tiff(9, 9, [bytes(9)], tile=60_000), "its tiles are larger"),
        (b"II*\0\xf0\xff\xff\xff", "its directory is cut off"),
        (bmff(b"heic", b"mif1"), "The HEIF has no still image"),
        (encode(IMAGE, "HEIF")[:-500], "The HEIC is cut off"),
        (encode(IMAGE, "AVIF")[:-500], "The AVIF is cut off"),
    ],
)
def test_damage_is_named(payload: bytes, message: str) -> None:
    with pytest.raises(NotAnImage, match=message):
        InputImage(payload)


def test_codecs_of_heif_are_named() -> None:
    payload = encode(IMAGE, "HEIF").replace(b"hvc1", b"vvc1")
    with pytest.raises(NotAnImage, match="encoded as 'vvc1'; only AVIF and HEIC"):
        InputImage(payload)


def test_small_images_are_not_heavy() -> None:
    """So that they do not wait for each other."""
    for format in ("AVIF", "HEIF", "TIFF", "GIF", "BMP"):
        assert not InputImage(encode(photo(1200, 900), format)).heavy


def test_images_of_phones_pass() -> None:
    for build in (
        lambda: encode(
            photo(5712, 4284), "HEIF", tile_size=512, enc_params={"preset": "ultrafast"}
        ),
        lambda: encode(photo(4032, 3024), "AVIF", speed=10),
        lambda: hostile_formats.gif(4032, 3024),
        lambda: encode(photo(4032, 3024), "TIFF", compression="jpeg"),
    ):
        payload = build()
        InputImage(payload).pixels(InputSpec(224, 0.9, (0, 0, 0), (1, 1, 1)))


# The same breed as the photo's JPEG.


def encodings(image: Image.Image) -> Iterator[tuple[str, bytes]]:
    for _, format, options in ENCODINGS:
        yield f"{format} {options}", encode(image, format, **options)
    yield "GIF", encode(image.quantize(256), "GIF")
    yield "TIFF, CMYK", encode(image.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "BMP, palette", encode(image.quantize(256), "BMP")
    ten_bits = np.asarray(image.convert("RGB")).astype(np.uint16) * 257
    deep = pillow_heif.from_bytes("RGB;16", image.size, ten_bits.tobytes())
    stream = io.BytesIO()
    deep.save(stream, quality=90)
    yield "HEIC, 10 bits", stream.getvalue()


@pytest.mark.photos
def test_the_breed_of_real_photos(photos: PhotoCollection, encode: Callable[..., bytes]) -> None:
    """Lossy codecs and palettes move each logit by about 1, as a JPEG of quality 75 does."""
    model: Model = inference.model_fn(inference.DEFAULT_MODEL_DIR)

    def logits(payload: bytes) -> np.ndarray:
        prediction = inference.predict_fn(inference.input_fn(payload, "image/*"), model)
        assert isinstance(prediction, Prediction)
        return prediction.logits

    checked = 0
    for row in photos.split("test")[::60]:
        with Image.open(photos.folder / row["file"]) as image:
            rgb = image.convert("RGB")
        expected = logits(encode(rgb, "PNG"))
        first, second = np.sort(expected)[[-1, -2]]
        if first - second < 1.0:
            continue
        checked += 1
        for name, payload in encodings(rgb):
            actual = logits(payload)
            assert actual.argmax() == expected.argmax(), f"{row['file']} as {name}"
            assert np.abs(actual - expected).mean() < 1.0, f"{row['file']} as {name}"
    assert checked >= 3
