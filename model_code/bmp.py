"""The structure of a BMP: its size, its kind of compression, and what decoding it costs.

Source: https://learn.microsoft.com/en-us/windows/win32/gdi/bitmap-storage
"""

import struct

from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_size

MAX_RUN_LENGTH_PIXELS = 4_000_000
"""Pillow decodes run lengths in Python, some at 60 ns per pixel."""

_CORE_HEADER_BYTES = 12
_BITS = frozenset({1, 4, 8, 16, 24, 32})
_UNCOMPRESSED, _BITFIELDS = 0, 3
_RUN_LENGTH_BITS = {1: 8, 2: 4}
_JPEG, _PNG = 4, 5  # for printers


def read(payload: bytes) -> Structure:
    """Read the structure. Raises `ImageTooLarge` and `NotAnImage`."""
    try:
        (header_bytes,) = struct.unpack_from("<I", payload, 14)
        if header_bytes == _CORE_HEADER_BYTES:
            width, height, _, bits = struct.unpack_from("<HHHH", payload, 18)
            compression = _UNCOMPRESSED
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", payload, 18)
    except struct.error:
        raise NotAnImage("The BMP is damaged: its header is too short.") from None
    height = abs(height)  # a negative one means rows from top to bottom
    run_length = compression in _RUN_LENGTH_BITS
    if width <= 0 or not height or bits not in _BITS:
        raise NotAnImage("The BMP is damaged: its header is invalid.")
    if compression in (_JPEG, _PNG) or not (
        run_length or compression in (_UNCOMPRESSED, _BITFIELDS)
    ):
        raise NotAnImage(
            f"The BMP is compressed with method {compression}, which is not supported."
        )
    if run_length and bits != _RUN_LENGTH_BITS[compression]:
        raise NotAnImage("The BMP is damaged: its header is invalid.")
    check_size("BMP", width, height)
    pixels = width * height
    if run_length and pixels > MAX_RUN_LENGTH_PIXELS:
        raise ImageTooLarge(
            f"The image has {pixels / 1e6:.1f} megapixels; the limit for a compressed BMP is "
            f"{MAX_RUN_LENGTH_PIXELS // 1_000_000}."
        )
    row_bytes = -(-width * bits // 32) * 4
    if not run_length and row_bytes * height > len(payload):
        raise NotAnImage("The BMP is cut off.")
    return Structure(
        format="BMP",
        width=width,
        height=height,
        orientation=1,
        payload=payload,
        heavy=run_length or pixels * (1 if bits <= 8 else 4) >= HEAVY_DECODE_BYTES,
        isolate=run_length,
    )
