"""Decodes untrusted images into the pixels a model expects, within limits.

Training evaluates with this code, so that offline accuracy matches production.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_code import bmp, decoding, formats, gif, heif, isolation, jpeg, png, tiff, webp
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
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
        """Return the upright RGB pixels of the centred square, uint8, shape [size, size, 3].

        Raises `NotAnImage` if the body of the image is damaged, `ImageTooLarge` if decoding takes
        longer than `decoding.MAX_DECODE_S`.
        """
        structure = self._structure
        name = formats.NAMES[self.format]
        try:
            if not structure.complete and decoding.is_cut_off(structure.payload):
                raise NotAnImage(f"The {name} is cut off.")
            if structure.isolate:
                content = isolation.decode(structure, spec)
                square = Image.frombytes("RGB", (spec.size_px, spec.size_px), content)
            else:
                square = decoding.decode_square(structure.payload, self.format, spec)
            turn = _UPRIGHT.get(structure.orientation)
            return np.asarray(square if turn is None else square.transpose(turn))
        except decoding.TooSlow:
            raise ImageTooLarge(
                f"Decoding the {name} takes more than {decoding.MAX_DECODE_S:g} s of CPU time."
            ) from None
        except decoding.DECODER_ERRORS:
            raise NotAnImage(f"The {name} is damaged.") from None


def _read_structure(payload: bytes) -> Structure:
    return _READERS[formats.identify(payload)](payload)
