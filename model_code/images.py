"""From a stranger's bytes to the tensor the model wants, within limits.

Training evaluates through this same code, so that the accuracy on the label is the one in the shop.
"""

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PAYLOAD_BYTES = 5 * 1024 * 1024
"""Lambda's and SageMaker's own limits leave this much for a picture (see docs/security.md)."""
MAX_PIXELS = 40_000_000
"""A phone's 12 megapixels three times over; as RGB it is 120 MB at the very most."""

# Pillow only warns of pictures between its own limit and twice that (docs: Image.open).
warnings.simplefilter("error", Image.DecompressionBombWarning)
# What else it has to remark on a stranger's file ("Corrupt EXIF data") is not for our log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")

_ORIENTATION_TAG = 0x0112
_METADATA = frozenset({"exif", "xmp"})
"""Where a JPEG may say how it is turned (Pillow's names): most on the web have neither."""
# What makes a picture upright for each EXIF orientation but 1 (Exif 2.32, section 4.6.4 A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SPARE = 1.5
"""How much larger than the model's square a photo is decoded at least."""
_SIDEWAYS = frozenset({5, 6, 7, 8})

# A decoder that is fed garbage raises nearly anything.
_DECODER_ERRORS = (
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


class Photo:
    """One picture whose header was read and found acceptable; its pixels are decoded on demand.

    `format` is JPEG, PNG or WEBP; `width` and `height` are in pixels, as an eye sees the picture
    (after EXIF orientation). Raises `ImageTooLarge` or `NotAnImage`.
    """

    def __init__(self, payload: bytes) -> None:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ImageTooLarge(f"the image has more than {MAX_PAYLOAD_BYTES} bytes")
        try:
            self._image = Image.open(io.BytesIO(payload), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ImageTooLarge(f"the image has more than {MAX_PIXELS} pixels") from None
        except _DECODER_ERRORS:
            raise NotAnImage("the body cannot be read as JPEG, PNG or WebP") from None
        self._width, self._height = self._image.size
        if self._width * self._height > MAX_PIXELS:
            raise ImageTooLarge(f"the image has more than {MAX_PIXELS} pixels")
        self.format = str(self._image.format)
        self._orientation = self._read_orientation()
        sideways = self._orientation in _SIDEWAYS
        self.width = self._height if sideways else self._width
        self.height = self._width if sideways else self._height

    def _read_orientation(self) -> int:
        if self.format == "JPEG" and not _METADATA & self._image.info.keys():
            return 1
        try:
            return int(self._image.getexif().get(_ORIENTATION_TAG, 1))
        except _DECODER_ERRORS:  # broken metadata does not make a broken picture
            return 1

    def pixels(self, spec: InputSpec) -> NDArray[np.uint8]:
        """The upright RGB pixels of the centred square, uint8, shape [size, size, 3].

        Raises `NotAnImage` when the body of the picture turns out to be damaged.
        """
        try:
            square = _square(self._image, spec)
            turn = _UPRIGHT.get(self._orientation)
            if turn is not None:
                square = square.transpose(turn)
            return np.asarray(square)
        except _DECODER_ERRORS:
            raise NotAnImage(f"the {self.format} is damaged") from None


def _square(image: Image.Image, spec: InputSpec) -> Image.Image:
    """The centred square of `image`, resized to the model's size. The crop comes before the turn
    upright, which is cheaper on the small picture and the same: the crop is centred.
    """
    wanted_px = spec.size_px / spec.crop
    scale = min(image.size) / wanted_px
    if scale >= 2 * _SPARE:
        # A JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the cost. More than the wanted size
        # stays, so that the antialiased resize below still decides how the pixels look.
        times = _SPARE / scale
        image.draft("RGB", (int(times * image.width), int(times * image.height)))
    image.load()
    width, height = image.size
    side = min(width, height) * spec.crop
    left, top = (width - side) / 2, (height - side) / 2
    size = (spec.size_px, spec.size_px)
    box = (left, top, left + side, top + side)
    return _rgb(image).resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=3.0)


def _rgb(image: Image.Image) -> Image.Image:
    """`image` in RGB: 16-bit samples scaled, transparency laid on white, the rest by Pillow."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip at 255
        samples: NDArray[Any] = np.asarray(image)
        return Image.fromarray((samples >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
