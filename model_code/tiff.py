"""The structure of a TIFF: size and orientation of its first page, and what decoding it costs.

Sources: TIFF 6.0; DNG 1.7 for what distinguishes a camera RAW file.
"""

import struct
from dataclasses import dataclass

from model_code import exif, formats
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_memory, check_size

MAX_PARTS = 20_000
"""Strips or tiles. Scanners write one strip per row."""
MAX_TILE_EXCESS_PIXELS = 1_000_000
"""By which a tile may exceed a small image. Common tiles have 256 x 256 pixels."""
MAX_RAW_BYTES = 128_000_000
"""Bytes to decompress, as in `png`."""

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 277, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_SUB_DIRECTORIES, _SAMPLE_FORMAT, _DNG_VERSION = 330, 339, 50706
_READ = frozenset(
    {_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIP_OFFSETS, _SAMPLES}
    | {_ROWS_PER_STRIP, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES}
    | {_SUB_DIRECTORIES, _SAMPLE_FORMAT, _DNG_VERSION}
)
_UNCOMPRESSED = 1
# CCITT, LZW, JPEG, deflate and PackBits. Old-style JPEG (6) is obsolete, and hardly ever intact.
_COMPRESSIONS = frozenset({_UNCOMPRESSED, 2, 3, 4, 5, 7, 8, 32773, 32946})
_COLOURS = frozenset({0, 1, 2, 3, 5, 6})  # grey, RGB, palette, CMYK, YCbCr
_SENSOR_COLOURS = frozenset({32803, 34892})  # colour filter array, linear raw
_REDUCED = 1


@dataclass(frozen=True, slots=True)
class _Page:
    """The first directory. `orientation_at` is the position of its orientation's value."""

    tags: dict[int, tuple[int, ...]]
    orientation: int
    orientation_at: int | None

    def number(self, tag: int, default: int) -> int:
        return next(iter(self.tags.get(tag, ())), default)


def read(payload: bytes) -> Structure:
    """Read the structure. Raises `ImageTooLarge` and `NotAnImage`."""
    try:
        page = _read_page(payload)
    except struct.error:
        raise NotAnImage("The TIFF is damaged: its directory is cut off.") from None
    if _is_raw(page):
        raise formats.refusal(formats.RAW)
    width, height = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    bits, samples = page.tags.get(_BITS, (1,)), page.number(_SAMPLES, 1)
    _check_kind(page, bits, samples)
    if not (width and height):
        raise NotAnImage("The TIFF is damaged: it has no pixels.")
    check_size("TIFF", width, height)
    pixels = width * height
    raw_bytes = height * -(-width * samples * bits[0] // 8)
    if raw_bytes > MAX_RAW_BYTES:
        limit = MAX_RAW_BYTES * 8 // (samples * bits[0]) // 1_000_000
        raise ImageTooLarge(
            f"The image has {pixels / 1e6:.1f} megapixels; the limit for a TIFF with "
            f"{samples * bits[0]} bits per pixel is {limit}."
        )
    # Pillow's modes: 1, L and P take a byte per pixel, I;16 two, all others four.
    pixel_bytes = 4 if samples > 1 else 2 if bits[0] == 16 else 1
    decode_bytes = pixels * pixel_bytes + _check_parts(payload, page, width, height, raw_bytes)
    check_memory("a TIFF", pixels / 1e6, decode_bytes)
    return Structure(
        format="TIFF",
        width=width,
        height=height,
        orientation=page.orientation,
        payload=_without_orientation(payload, page),
        heavy=decode_bytes >= HEAVY_DECODE_BYTES,
        isolate=True,
        decode_bytes=decode_bytes,
    )


def _read_page(payload: bytes) -> _Page:
    tags: dict[int, tuple[int, ...]] = {}
    orientation_at = None
    for entry in exif.entries(payload):
        if entry.tag in _READ:
            tags.setdefault(entry.tag, exif.values(payload, entry, MAX_PARTS + 1))
        elif entry.tag == exif.ORIENTATION_TAG and orientation_at is None:
            orientation_at = entry.value_at
    return _Page(tags, exif.orientation(payload), orientation_at)


def _is_raw(page: _Page) -> bool:
    """Return whether the page is that of a RAW file: sensor data, or a preview with more below."""
    preview = page.number(_SUBFILE_TYPE, 0) & _REDUCED and _SUB_DIRECTORIES in page.tags
    return (
        _DNG_VERSION in page.tags
        or bool(preview)
        or page.number(_PHOTOMETRIC, 0) in _SENSOR_COLOURS
    )


def _check_kind(page: _Page, bits: tuple[int, ...], samples: int) -> None:
    compression = page.number(_COMPRESSION, _UNCOMPRESSED)
    if compression not in _COMPRESSIONS:
        raise NotAnImage(
            f"The TIFF is compressed with method {compression}, which is not supported."
        )
    if page.number(_PHOTOMETRIC, 0) not in _COLOURS:
        raise NotAnImage(
            f"The TIFF has colours of type {page.number(_PHOTOMETRIC, 0)}, which is not supported."
        )
    if not bits or set(bits) - {1, 2, 4, 8, 16} or page.number(_SAMPLE_FORMAT, 1) != 1:
        raise NotAnImage(
            f"The TIFF has samples of {max(bits, default=0)} bits; only unsigned integers of 1, 2, "
            "4, 8 and 16 bits are supported."
        )
    if not 1 <= samples <= 6:
        raise NotAnImage(f"The TIFF has {samples} samples per pixel; only 1 to 6 are supported.")


def _check_parts(payload: bytes, page: _Page, width: int, height: int, raw_bytes: int) -> int:
    """Return the size of one strip or tile after decompression. Raises as `read` does."""
    tiled = _TILE_OFFSETS in page.tags
    sizes = page.tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())
    offsets = page.tags.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS, ())
    if max(len(offsets), len(sizes)) > MAX_PARTS:
        raise ImageTooLarge(f"The TIFF has more than {MAX_PARTS} strips or tiles.")
    if not offsets:
        raise NotAnImage("The TIFF is damaged: it has no image data.")
    if sum(sizes) > len(payload):
        raise NotAnImage("The TIFF is damaged: it has less data than its strips or tiles need.")
    if tiled:
        part_pixels = page.number(_TILE_WIDTH, 0) * page.number(_TILE_HEIGHT, 0)
        if part_pixels > width * height + MAX_TILE_EXCESS_PIXELS:
            raise NotAnImage("The TIFF is damaged: its tiles are larger than the image.")
    else:
        part_pixels = width * min(height, page.number(_ROWS_PER_STRIP, height))
    return raw_bytes * part_pixels // (width * height)


def _without_orientation(payload: bytes, page: _Page) -> bytes:
    """Return the file as upright: Pillow would turn it at its full size."""
    if page.orientation == 1 or page.orientation_at is None:
        return payload
    upright = b"\1\0\0\0" if exif.byte_order(payload) == "<" else b"\0\1\0\0"
    return payload[: page.orientation_at] + upright + payload[page.orientation_at + 4 :]
