"""Decodes untrusted images into the pixels a model expects, within limits.

Training evaluates with this code, so that offline accuracy matches production.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_code import bmp, decoding, formats, framing, gif, heif, isolation, jpeg, png, tiff, webp
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.framing import Box
from model_code.structure import Structure

MAX_PAYLOAD_BYTES = 5 * 1024 * 1024
"""The space that the limits of Lambda and SageMaker leave for an image, see docs/security.md."""

# Transposition that makes an image upright, by EXIF orientation (Exif 2.32, section 4.6.4 A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_READERS = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "WEBP": webp.read,
    "GIF": gif.read,
    "BMP": bmp.read,
    "TIFF": tiff.read,
    "HEIF": heif.read,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


def check_bytes(count: int) -> None:
    """Raise `ImageTooLarge` if an image of `count` bytes is over the limit."""
    if count > MAX_PAYLOAD_BYTES:
        raise ImageTooLarge(f"The image is larger than {MAX_PAYLOAD_BYTES} bytes.")


class InputImage:
    """An image whose structure was read and accepted. Its pixels are decoded on demand.

    `format` is one of `formats.NAMES`; `width` and `height` are in pixels after EXIF orientation.
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
        """Return the RGB pixels of the first look, uint8 [size, size, 3]. Raises as `decode`."""
        return self.decode(spec).look(framing.first_look(self.width, self.height, spec))

    def decode(self, spec: InputSpec) -> "DecodedImage":
        """Decode the image once for all looks.

        Raises `NotAnImage` if the body of the image is damaged, `ImageTooLarge` if decoding takes
        longer than `decoding.MAX_DECODE_S`.
        """
        structure = self._structure
        name = formats.NAMES[self.format]
        try:
            if not structure.complete and decoding.is_cut_off(structure.payload):
                raise NotAnImage(f"The {name} is cut off.")
            if structure.isolate:
                image = isolation.decode(structure, spec)
            else:
                image = decoding.decode(structure.payload, self.format, spec)
            turn = _UPRIGHT.get(structure.orientation)
            upright = image if turn is None else image.transpose(turn)
            return DecodedImage(upright, self.width, self.height, spec.size_px)
        except decoding.TooSlow:
            raise ImageTooLarge(
                f"Decoding the {name} takes more than {decoding.MAX_DECODE_S:g} s of CPU time."
            ) from None
        except decoding.DECODER_ERRORS:
            raise NotAnImage(f"The {name} is damaged.") from None


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An upright RGB image, perhaps reduced. `width` and `height` are those of the original."""

    image: Image.Image
    width: int
    height: int
    size_px: int

    def look(self, box: Box) -> NDArray[np.uint8]:
        """Return what is inside `box`, uint8 [size, size, 3]."""
        x_scale, y_scale = self.image.width / self.width, self.image.height / self.height
        left, top = max(0.0, box.x * x_scale), max(0.0, box.y * y_scale)
        right = min(self.image.width, (box.x + box.width) * x_scale)
        bottom = min(self.image.height, (box.y + box.height) * y_scale)
        return np.asarray(decoding.look(self.image, (left, top, right, bottom), self.size_px))


def _read_structure(payload: bytes) -> Structure:
    return _READERS[formats.identify(payload)](payload)
