"""The structure of an image file, read before a decoder sees a byte of it."""

from dataclasses import dataclass

from model_code.errors import ImageTooLarge

MAX_PIXELS = 40_000_000
"""More than three times the 12 megapixels of a phone's photo."""
MAX_DECODE_BYTES = 225_000_000
"""Peak memory of one decoder. A WebP of 13 megapixels needs as much."""
HEAVY_DECODE_BYTES = 40_000_000
"""Decoding memory of a heavy image. 12 megapixels need 12 MB in a JPEG, 48 MB in a PNG."""
MAX_SIDE_PX = 65_535
"""JPEG's own limit. Pillow keeps a pointer per row, so a PNG of one column would cost more in
pointers than in pixels."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of a file. `payload` has the same pixels as the file, and nothing else.

    `orientation` is EXIF's, 1 to 8. A heavy image costs so much memory or time that the server
    decodes one at a time. `complete` is false if the file ends before its end marker. `isolate`
    requests a process with limits, because the structure does not show the cost. `decode_bytes` is
    what such a process should need for decoding, 0 if unknown.
    """

    format: str
    width: int
    height: int
    orientation: int
    payload: bytes
    heavy: bool
    complete: bool = True
    isolate: bool = False
    decode_bytes: int = 0


def check_size(format: str, width: int, height: int) -> None:
    """Raise `ImageTooLarge` for more pixels or longer sides than any image may have."""
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"The image has {width * height / 1e6:.1f} megapixels; the limit is "
            f"{MAX_PIXELS // 1_000_000}."
        )
    if max(width, height) > MAX_SIDE_PX:
        raise ImageTooLarge(
            f"The {format} is {width} x {height} pixels; the limit for a side is {MAX_SIDE_PX}."
        )


def check_memory(kind: str, megapixels: float, decode_bytes: int) -> None:
    """Raise `ImageTooLarge` if decoding `kind`, such as "a PNG", takes over `MAX_DECODE_BYTES`."""
    if decode_bytes > MAX_DECODE_BYTES:
        limit = megapixels * MAX_DECODE_BYTES / decode_bytes
        raise ImageTooLarge(
            f"The image has {megapixels:.1f} megapixels; the limit for {kind} is {int(limit)}."
        )
