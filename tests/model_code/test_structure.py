"""What is read of a file before it is decoded: metadata never blocks an image, limits are named."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from model_code import decoding, exif, framing, jpeg
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.images import DecodedImage, InputImage
from tests import hostile_images
from tests.hostile_images import chunk, encode, photo, segment

SPEC = InputSpec(size_px=64, crop=1.0, mean=(0, 0, 0), std=(1, 1, 1))
IMAGE = photo(320, 240)
JPEG = encode(IMAGE, "JPEG")
PNG = encode(IMAGE, "PNG")
WEBP = encode(IMAGE, "WEBP", lossless=True)
UPSIDE_DOWN = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\3\0\0\0\0\0\0\0"
XMP = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="3"/>'


def pixels(payload: bytes) -> np.ndarray:
    return InputImage(payload).pixels(SPEC)


def with_png_chunks(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def damaged(chunk_: bytes) -> bytes:
    return chunk_[:-1] + bytes([chunk_[-1] ^ 1])


@pytest.mark.parametrize(
    "payload",
    [
        with_png_chunks(damaged(chunk(b"tEXt", b"key\0value"))),
        with_png_chunks(chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(20_000_000)))),
        with_png_chunks(chunk(b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(20_000_000)))),
        with_png_chunks(chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(20_000_000)))),
        with_png_chunks(chunk(b"iCCP", b"no profile at all")),
        with_png_chunks(chunk(b"gAMA", b""), chunk(b"pHYs", b"x"), chunk(b"acTL", b"x")),
        with_png_chunks(damaged(chunk(b"tRNS", b"\0" * 6))),
        with_png_chunks(chunk(b"eXIf", b"garbage")),
        with_png_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        PNG[:-12],
        PNG[:-16],
        PNG + b"trailing",
    ],
)
def test_png_metadata_changes_nothing(payload: bytes) -> None:
    assert np.array_equal(pixels(payload), pixels(PNG))


@pytest.mark.parametrize(
    "payload",
    [
        JPEG[:2] + segment(0xE1, b"Exif\0\0garbage") + JPEG[2:],
        JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) + JPEG[2:],
        JPEG[:2] + segment(0xE2, b"ICC_PROFILE\0\x05\x01 part 5 of 1") + JPEG[2:],
        JPEG[:2] + segment(0xE2, b"MPF\0MM\0*\xff\xff\xff\xff") + JPEG[2:],
        JPEG[:2] + segment(0xFE, b"comment") * 500 + JPEG[2:],
        JPEG[:2] + segment(0xED, b"Photoshop 3.0\0garbage") + JPEG[2:],
        JPEG[:2] + b"\xff" * 5000 + JPEG[2:],
        JPEG[:20] + b"\0\xff\0garbage" + segment(0xF0, b"unknown") + JPEG[20:],
        JPEG[:2] + b"\xff\xd0\xff\x01" + JPEG[2:],
        JPEG[:-2],
        JPEG[:-1],
        JPEG + b"trailing",
        encode(IMAGE, "MPO", save_all=True, append_images=[IMAGE]),
    ],
)
def test_jpeg_metadata_changes_nothing(payload: bytes) -> None:
    assert InputImage(payload).format == "JPEG"
    assert np.array_equal(pixels(payload), pixels(JPEG))


def test_webp_metadata_changes_nothing() -> None:
    chunks = WEBP[12:]
    for name, body in (
        (b"EXIF", b"garbage"),
        (b"XMP ", XMP),
        (b"ICCP", b"x" * 999),
        (b"abcd", b""),
    ):
        extra = name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
        assert np.array_equal(pixels(hostile_images.riff(chunks + extra)), pixels(WEBP))


@pytest.mark.parametrize("size", [0, 100, 0xFFFFFF])
def test_the_size_of_the_riff_container_does_not_matter(size: int) -> None:
    payload = WEBP[:4] + struct.pack("<I", size) + WEBP[8:] + b"trailing"
    assert np.array_equal(pixels(payload), pixels(WEBP))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("flags", range(4))
def test_a_first_frame_that_does_not_cover_the_canvas(alpha: bool, flags: int) -> None:
    """Bit for bit as Pillow decodes the whole file."""
    frame = photo(101, 77, "RGBA" if alpha else "RGB")
    chunks = encode(frame, "WEBP", lossless=True)[12:]
    chunks = chunks[chunks.index(b"VP8L") :]
    sizes = [number.to_bytes(3, "little") for number in (10, 20, 100, 76, 10)]
    anmf = b"".join(sizes) + bytes([flags]) + chunks
    vp8x = bytes([0x12, 0, 0, 0]) + (199).to_bytes(3, "little") + (149).to_bytes(3, "little")
    animation = b""
    for kind, body in ((b"VP8X", vp8x), (b"ANIM", bytes(6)), (b"ANMF", anmf), (b"ANMF", anmf)):
        animation += kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
    payload = hostile_images.riff(animation)
    image = InputImage(payload)
    assert (image.width, image.height) == (200, 150)
    expected = DecodedImage(decoding.decode(payload, "WEBP", SPEC), 200, 150, SPEC.size_px)
    first = framing.first_look(200, 150, SPEC)
    assert np.array_equal(image.pixels(SPEC), expected.look(first))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("interval", [{"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
def test_restart_intervals(progressive: bool, interval: dict[str, int]) -> None:
    payload = encode(IMAGE, "JPEG", progressive=progressive, **interval)
    assert np.array_equal(pixels(payload), pixels(JPEG))
    assert np.array_equal(pixels(payload[:-2]), pixels(JPEG))
    if not progressive:  # half of its scans show the whole image
        with pytest.raises(NotAnImage, match="cut off"):
            pixels(payload[: len(payload) // 2])


@pytest.mark.parametrize(
    ("build", "heavy"),
    [
        (lambda: encode(photo(4000, 3000), "JPEG"), False),
        (lambda: hostile_images.scans(4000, 3000, 60, [0x11]), True),
        (lambda: hostile_images.png(4000, 3000, 8, 2), True),
        (lambda: hostile_images.png(2000, 1500, 8, 2), False),
        (lambda: encode(photo(1200, 900), "WEBP"), False),
        (lambda: hostile_images.webp_with_groups(10_000, 400), True),
        (lambda: encode(photo(120, 90), "WEBP", lossless=True), False),
    ],
)
def test_heavy_images(build: Callable[[], bytes], heavy: bool) -> None:
    assert InputImage(build()).heavy is heavy


def test_only_exif_turns_an_image() -> None:
    turned = JPEG[:2] + segment(0xE1, b"Exif\0\0" + UPSIDE_DOWN) + JPEG[2:]
    assert np.array_equal(pixels(turned), np.rot90(pixels(JPEG), 2))
    both = JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) + turned[2:]
    assert np.array_equal(pixels(both), pixels(turned))


@pytest.mark.parametrize(
    ("metadata", "orientation"),
    [
        (UPSIDE_DOWN, 3),
        (b"Exif\0\0" + UPSIDE_DOWN, 3),
        (b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 6),
        (UPSIDE_DOWN[:18], 1),
        (UPSIDE_DOWN.replace(b"\3\0\0\0\0\0\0\0", b"\x09\0\0\0\0\0\0\0"), 1),
        (b"II*\0\xff\xff\xff\xff", 1),
        (b"", 1),
    ],
)
def test_orientation(metadata: bytes, orientation: int) -> None:
    assert exif.orientation(metadata) == orientation


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_jpeg_without_its_last_rows_is_refused(part: float, progressive: bool) -> None:
    whole = encode(IMAGE, "JPEG", quality=95, progressive=progressive)
    cut = whole[: int(len(whole) * part)]
    if progressive:  # the scan with the colours ends within the first half; later ones add detail
        cut = whole[: whole.index(b"\xff\xda") + 40]
    with pytest.raises(NotAnImage, match="The JPEG is cut off"):
        pixels(cut)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: hostile_images.scans(64, 64, 101, [0x11]), "more than 100 scans"),
        (lambda: hostile_images.scans(5000, 5000, 60, [0x11] * 3), "too many scans"),
        (
            lambda: hostile_images.refinements(6000, 6000, 25).removesuffix(b"\xff\xd9"),
            "too many scans",
        ),
        (
            # three components of one id, of which the last is the smallest
            lambda: hostile_images.scans(6000, 6000, 100, [0x44, 0x11, 0x11]).replace(
                b"\x03\x01\x44\0\x02\x11\x01\x03\x11", b"\x03\x01\x44\0\x01\x11\x01\x01\x11"
            ),
            "too many scans",
        ),
        (lambda: hostile_images.scans(7000, 6000, 1, [0x11]), "42.0 megapixels; the limit is 40"),
        (
            lambda: hostile_images.scans(6000, 6000, 5, [0x11] * 4),
            "the limit for a progressive JPEG",
        ),
        (
            lambda: hostile_images.with_segments(JPEG, segment(0xFE, b"")),
            "more than 2000 segments",
        ),
        (
            lambda: hostile_images.png(6000, 6000, 16, 6, data=b""),
            "a PNG with 64 bits per pixel is 16",
        ),
        (
            lambda: hostile_images.png(1, 30_000_000, 8, 0, data=b""),
            "the limit for a side is 65535",
        ),
        (lambda: with_png_chunks(chunk(b"IDAT", b"") * 10_001), "more than 10000 chunks"),
        (lambda: encode(Image.new("RGB", (4000, 3500)), "WEBP"), "the limit for a WebP is 13"),
    ],
)
def test_the_message_names_the_limit(build: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ImageTooLarge, match=message):
        InputImage(build())


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff\xd8\xff" + b"\0" * 100, "no image data"),
        (JPEG.replace(b"\xff\xc0", b"\xff\xc3"), "lossless or hierarchical"),
        (JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :][:19] + JPEG[2:], "two frames"),
        (damaged(PNG[:33]) + PNG[33:], "checksum of IHDR"),
        (PNG[:33], "no image data"),
        (WEBP[:12], "no image data"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not an image of a supported format; send JPEG"),
    ],
)
def test_damage_is_named(payload: bytes, message: str) -> None:
    with pytest.raises(NotAnImage, match=message):
        InputImage(payload)


def test_a_photo_of_a_phone_passes_in_every_kind() -> None:
    """12 megapixels and, as JPEG, 40: none of the limits is in their way."""
    large = photo(4096, 3072)
    for format, options in (
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("JPEG", {"quality": 60}),
        ("WEBP", {"quality": 50, "method": 0}),
    ):
        InputImage(encode(large, format, **options))
    for depth, colour in ((8, 2), (16, 2), (8, 6), (16, 6), (16, 0), (8, 3)):
        InputImage(hostile_images.png(4096, 3072, depth, colour))
    for progressive in (False, True):
        payload = encode(photo(7300, 5470), "JPEG", quality=60, progressive=progressive)
        assert jpeg.read(payload).complete
