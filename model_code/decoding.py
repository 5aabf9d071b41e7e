"""Decodes an image to about the size that the model needs, and cuts looks out of it.

Without numpy, whose import would be half the memory of a process of `isolation`.
"""

import importlib
import io
import math
import struct
import time
import warnings
from pathlib import Path

from PIL import Image

from model_code.artifact import InputSpec

MAX_DECODE_S = 1.0
"""Processor time of one decoder. The limits of `jpeg`, `png` and `webp` keep every known image well
below; this one stops images that they do not cover."""
MIN_DECODE_SCALE = 1.5
"""Decode a JPEG to at least this multiple of the input size, measured in docs/performance.md."""

_PILLOW_NAMES = {"HEIC": "HEIF"}

# Pillow only warns about images between its own limit and twice that.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# Other warnings about an untrusted file ("Corrupt EXIF data") do not belong in our log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")

_REDUCING_GAP = 3.0  # as in Pillow's resize: reduce cheaply to 3 times the size first
_READ_BYTES = 256 * 1024  # with Pillow's 64 KB, a JPEG of 2 MB takes 3 % longer
_STRIP_PIXELS = 1_000_000  # pixels that are converted at a time

# Pillow's decoders raise almost anything for malformed data.
DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    OverflowError,
    AttributeError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class TooSlow(Exception):
    """A decoder has used up its processor time."""


class _Budget(io.BytesIO):
    """A file that stops a decoder after `MAX_DECODE_S`: Pillow reads `_READ_BYTES` at a time."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self._end = time.thread_time() + MAX_DECODE_S

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise TooSlow
        return super().read(size)


def decode(payload: bytes, format: str, spec: InputSpec) -> Image.Image:
    """Decode an image to RGB, not upright, and reduce it to about the pixels that looks can use.

    The result has at most four times the pixels of a square of `_REDUCING_GAP` times the model's
    size, for looks at half of the image's side.
    """
    register(format)
    with Image.open(_Budget(payload), formats=(_PILLOW_NAMES.get(format, format),)) as image:
        scale = min(image.size) / (spec.size_px / spec.crop)
        if scale >= 2 * MIN_DECODE_SCALE:
            # A JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the cost.
            times = MIN_DECODE_SCALE / scale
            image.draft("RGB", (int(times * image.width), int(times * image.height)))
        image.decodermaxblock = _READ_BYTES
        image.load()
        mean_side = math.sqrt(image.width * image.height)
        factor = max(1, int(mean_side / (spec.size_px / spec.crop) / _REDUCING_GAP))
        if image.mode == "RGB" and "transparency" not in image.info:
            return image.reduce(factor) if factor > 1 else image
        return _converted(image, factor)


def look(image: Image.Image, box: tuple[float, float, float, float], size_px: int) -> Image.Image:
    """Resize a box (left, top, right, bottom) of a decoded image to a square."""
    size = (size_px, size_px)
    return image.resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=_REDUCING_GAP)


def register(format: str) -> None:
    """Import what Pillow needs for a format, on first use: pillow-heif takes 20 ms and 6 MB."""
    if format == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    elif format == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    elif format == "TIFF":
        importlib.import_module("PIL.TiffImagePlugin")
    elif format == "WEBP":  # or else Pillow imports all of its plugins, in 37 ms
        importlib.import_module("PIL.WebPImagePlugin")


def open_photo(path: Path) -> Image.Image:
    """Open a photo of the user's own, in any format, without the limits for untrusted ones."""
    if path.suffix.lower() in (".heic", ".heif", ".hif"):
        register("HEIC")
    return Image.open(path)


def is_cut_off(payload: bytes) -> bool:
    """Return whether a JPEG without an end marker lacks image data too.

    Bytes appended to the data change the image only if the decoder still needs some.
    """
    data, end = payload[:-2].rstrip(b"\xff"), payload[-2:]  # the file may end in half a marker
    images = []
    for filler in (b"\x55", b"\xaa\x33\x0f"):
        # an image with restart intervals uses no data in front of the right restart marker
        intervals = [filler * 64 + bytes([0xFF, marker]) for marker in range(0xD0, 0xD8)]
        with Image.open(_Budget(data + b"".join(intervals) + end), formats=("JPEG",)) as image:
            image.draft(image.mode, (image.width // 8, image.height // 8))
            images.append(image.tobytes())
    return images[0] != images[1]


def _converted(image: Image.Image, factor: int) -> Image.Image:
    """Convert to RGB and reduce by `factor`, strip by strip: no copy at full size is made."""
    width, height = image.size
    reduced = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    rows = max(1, _STRIP_PIXELS // width // factor) * factor
    for start in range(0, height, rows):
        strip = _rgb(image.crop((0, start, width, min(height, start + rows))))
        reduced.paste(strip.reduce(factor) if factor > 1 else strip, (0, start // factor))
    return reduced


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB: 16-bit samples scaled, transparency laid on white, the rest by Pillow."""
    if image.mode in ("I;16", "I;16B"):  # grey in either byte order: Pillow would clip at 255
        high = 1 if image.mode == "I;16" else 0
        return Image.frombytes("L", image.size, image.tobytes()[high::2]).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
