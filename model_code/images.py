"""Decodes untrusted images into the pixels a model expects, within limits.

Training evaluates with this code, so that offline accuracy matches production.
"""

import io
import math
import struct
import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_code import isolation, jpeg, png, webp
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import Structure

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PAYLOAD_BYTES = 5 * 1024 * 1024
"""What the limits of Lambda and SageMaker leave for an image, see docs/security.md."""
MAX_DECODE_S = 1.0
"""Processor time of one decoder. The limits of `jpeg`, `png` and `webp` keep every known image well
below; this one stops what they do not know."""
MIN_DECODE_SCALE = 1.5
"""Decode a JPEG to at least this multiple of the input size, measured in docs/performance.md."""

# Pillow only warns about images between its own limit and twice that.
warnings.simplefilter("error", Image.DecompressionBombWarning)
# Other warnings about an untrusted file ("Corrupt EXIF data") do not belong in our log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")

# What makes an image upright for each EXIF orientation but 1 (Exif 2.32, section 4.6.4 A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})
_REDUCING_GAP = 3.0  # as in Pillow's resize: reduce cheaply to 3 times the size first
_STRIP_PIXELS = 1_000_000  # pixels that are converted at a time
# Image data for a JPEG that lacks some, with all restart markers, in case it uses them.
_FILLER = b"".join(b"\xaa\x33\x0f" * 21 + bytes([0xFF, 0xD0 + index % 8]) for index in range(64))

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
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def check_bytes(count: int) -> None:
    """Raise `ImageTooLarge` if an image of `count` bytes is over the limit."""
    if count > MAX_PAYLOAD_BYTES:
        raise ImageTooLarge(f"The image is larger than {MAX_PAYLOAD_BYTES} bytes.")


class InputImage:
    """An image whose structure was read and accepted. Its pixels are decoded on demand.

    `format` is JPEG, PNG or WEBP; `width` and `height` are in pixels after EXIF orientation.
    A server decodes one `heavy` image at a time. Raises `ImageTooLarge` or `NotAnImage`.
    """

    def __init__(self, payload: bytes) -> None:
        check_bytes(len(payload))
        self._structure = _read_structure(payload)
        sideways = self._structure.orientation in _SIDEWAYS
        size = (self._structure.width, self._structure.height)
        self.format = self._structure.format
        self.width, self.height = size[::-1] if sideways else size
        self.heavy = self._structure.heavy

    def pixels(self, spec: InputSpec) -> NDArray[np.uint8]:
        """Return the upright RGB pixels of the centred square, uint8, shape [size, size, 3].

        Raises `NotAnImage` if the body of the image is damaged, `ImageTooLarge` if decoding takes
        longer than `MAX_DECODE_S`.
        """
        structure = self._structure
        try:
            if structure.isolate:
                content = isolation.decode(structure.payload, self.format, spec)
                square = Image.frombytes("RGB", (spec.size_px, spec.size_px), content)
            else:
                square = decode_square(structure.payload, spec)
            if not structure.complete and _needs_more_data(structure.payload, spec, square):
                raise NotAnImage(f"The {self.format} is cut off.")
            turn = _UPRIGHT.get(structure.orientation)
            return np.asarray(square if turn is None else square.transpose(turn))
        except _TooSlow:
            raise ImageTooLarge(
                f"Decoding the {self.format} takes more than {MAX_DECODE_S:g} s of processor time."
            ) from None
        except DECODER_ERRORS:
            raise NotAnImage(f"The {self.format} is damaged.") from None


def _read_structure(payload: bytes) -> Structure:
    if payload.startswith(jpeg.SIGNATURE):
        return jpeg.read(payload)
    if payload.startswith(png.SIGNATURE):
        return png.read(payload)
    if webp.is_webp(payload):
        return webp.read(payload)
    raise NotAnImage("The body is not a JPEG, PNG or WebP image.")


class _TooSlow(Exception):
    """A decoder has used up its processor time."""


class _Budget(io.BytesIO):
    """A file that stops a decoder after `MAX_DECODE_S`: Pillow reads 64 KB at a time."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        self._end = time.thread_time() + MAX_DECODE_S

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise _TooSlow
        return super().read(size)


def decode_square(payload: bytes, spec: InputSpec) -> Image.Image:
    """Decode the centred square, resized to the model's size, not yet upright.

    The crop comes before the turn, which is cheaper on the small image; the crop is centred.
    """
    with Image.open(_Budget(payload), formats=FORMATS) as image:
        scale = min(image.size) / (spec.size_px / spec.crop)
        if scale >= 2 * MIN_DECODE_SCALE:
            # A JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the cost.
            times = MIN_DECODE_SCALE / scale
            image.draft("RGB", (int(times * image.width), int(times * image.height)))
        image.load()
        side = min(image.size) * spec.crop
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        size = (spec.size_px, spec.size_px)
        if image.mode == "RGB" and "transparency" not in image.info:
            return image.resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=_REDUCING_GAP)
        return _converted_square(image, box, size)


def _needs_more_data(payload: bytes, spec: InputSpec, square: Image.Image) -> bool:
    """Return whether a JPEG that decodes to `square` lacks image data, not only its end marker.

    Bytes appended to the data change the image only if the decoder still needs some.
    """
    data, end = payload[:-2].rstrip(b"\xff"), payload[-2:]  # the file may end in half a marker
    return decode_square(data + _FILLER + end, spec).tobytes() != square.tobytes()


def _converted_square(
    image: Image.Image, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Image.Image:
    """Resize `box` of an image that must be converted to RGB first.

    The result is that of Pillow's resize with `reducing_gap`, but conversion and reduction go strip
    by strip, so that no copy at full size is made.
    """
    scale = (box[2] - box[0]) / size[0]
    factor = max(1, int(scale / _REDUCING_GAP))
    # What the filter sees around the box; Pillow takes half of it where it reduces first.
    margin = 0.5 * scale if factor > 1 else max(1.0, scale)
    left, top = max(0, int(box[0] - margin)), max(0, int(box[1] - margin))
    right = min(image.width, math.ceil(box[2] + margin))
    bottom = min(image.height, math.ceil(box[3] + margin))
    width, height = right - left, bottom - top
    reduced = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    rows = max(1, _STRIP_PIXELS // width // factor) * factor
    for start in range(0, height, rows):
        strip = _rgb(image.crop((left, top + start, right, min(bottom, top + start + rows))))
        reduced.paste(strip.reduce(factor) if factor > 1 else strip, (0, start // factor))
    inner = (
        (box[0] - left) / factor,
        (box[1] - top) / factor,
        (box[2] - left) / factor,
        (box[3] - top) / factor,
    )
    return reduced.resize(size, Image.Resampling.HAMMING, box=inner)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB: 16-bit samples scaled, transparency laid on white, the rest by Pillow."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip at 255
        samples: NDArray[Any] = np.asarray(image)
        return Image.fromarray((samples >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
