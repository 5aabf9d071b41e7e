"""Decodes untrusted images into the pixels a model expects, within limits.

Training evaluates with this code, so that offline accuracy matches production.
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
"""What the limits of Lambda and SageMaker leave for an image, see docs/security.md."""
MAX_PIXELS = 40_000_000
"""Three times what most phones take. Decoded to RGB, it is 120 MB."""
MIN_DECODE_SCALE = 1.5
"""Decode a JPEG to at least this multiple of the input size, measured in docs/performance.md."""

# Pillow only warns about images between its own limit and twice that (docs: Image.open).
warnings.simplefilter("error", Image.DecompressionBombWarning)
# Its other warnings about untrusted images ("Corrupt EXIF data") would flood the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")

_ORIENTATION_TAG = 0x0112
# Pillow's names of the JPEG metadata that may contain an orientation. Most JPEGs have neither.
_METADATA = frozenset({"exif", "xmp"})
# How to turn an image upright, by EXIF orientation (Exif 2.32, section 4.6.4 A).
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

# Pillow's decoders raise almost anything for malformed data.
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


def check_bytes(count: int) -> None:
    """Raise `ImageTooLarge` if an image of `count` bytes is over the limit."""
    if count > MAX_PAYLOAD_BYTES:
        raise ImageTooLarge(f"The image is larger than {MAX_PAYLOAD_BYTES} bytes.")


class InputImage:
    """An image with a valid header. Its pixels are decoded on demand.

    `format` is JPEG, PNG or WEBP; `width` and `height` are in pixels, after EXIF orientation.
    Raises `ImageTooLarge` or `NotAnImage`.
    """

    def __init__(self, payload: bytes) -> None:
        check_bytes(len(payload))
        too_many_pixels = ImageTooLarge(f"The image has over {MAX_PIXELS // 10**6} megapixels.")
        try:
            self._image = Image.open(io.BytesIO(payload), formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise too_many_pixels from None
        except _DECODER_ERRORS:
            raise NotAnImage("The body is not a JPEG, PNG or WebP image.") from None
        width, height = self._image.size
        if width * height > MAX_PIXELS:
            raise too_many_pixels
        self.format = str(self._image.format)
        self._orientation = self._read_orientation()
        sideways = self._orientation in _SIDEWAYS
        self.width, self.height = (height, width) if sideways else (width, height)

    def _read_orientation(self) -> int:
        if self.format == "JPEG" and not _METADATA & self._image.info.keys():
            return 1
        try:
            return int(self._image.getexif().get(_ORIENTATION_TAG, 1))
        except _DECODER_ERRORS:  # the metadata is broken, but the pixels may be intact
            return 1

    def pixels(self, spec: InputSpec) -> NDArray[np.uint8]:
        """Return the upright RGB pixels of the centre square, uint8 [size, size, 3].

        Raises `NotAnImage` if the image is damaged.
        """
        try:
            square = _square(self._image, spec)
            turn = _UPRIGHT.get(self._orientation)
            if turn is not None:
                square = square.transpose(turn)
            return np.asarray(square)
        except _DECODER_ERRORS:
            raise NotAnImage(f"The {self.format} is damaged.") from None


def _square(image: Image.Image, spec: InputSpec) -> Image.Image:
    """Return the centre square of `image`, resized to the model's input size.

    Cropping before turning is cheaper, and equivalent because the crop is centred.
    """
    full_size_px = spec.size_px / spec.crop
    scale = min(image.size) / full_size_px
    if scale >= 2 * MIN_DECODE_SCALE:
        # A JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the cost. The rest is left
        # to the antialiased resize below, which determines the quality.
        reduction = MIN_DECODE_SCALE / scale
        image.draft("RGB", (int(reduction * image.width), int(reduction * image.height)))
    image.load()
    width, height = image.size
    side = min(width, height) * spec.crop
    left, top = (width - side) / 2, (height - side) / 2
    size = (spec.size_px, spec.size_px)
    box = (left, top, left + side, top + side)
    return _rgb(image).resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=3.0)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert `image` to RGB: 16-bit samples are scaled, transparency becomes white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        samples: NDArray[Any] = np.asarray(image)
        return Image.fromarray((samples >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
