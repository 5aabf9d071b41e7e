"""The structure of a PNG: dimensions, orientation, cost, and the chunks that decide its pixels.

Sources: PNG (third edition), sections 5 and 11; libpng for what is tolerated.
"""

import struct
import zlib
from collections.abc import Iterator

from model_code import exif
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_memory, check_size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 10_000
"""5 MiB in chunks of 1 KB, the smallest that an encoder in use writes, are about 5,000."""
MAX_RAW_BYTES = 128_000_000
"""Bytes to inflate. 40 megapixels of RGB are 120 million, 12 of 16-bit RGBA are 96 million."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel by colour type."""


def read(payload: bytes) -> Structure:
    """Read the structure. Raises `ImageTooLarge` and `NotAnImage`."""
    kept: dict[bytes, bytes] = {}
    data: list[bytes] = []
    orientation, data_ended = 1, False
    for kind, body, intact in _chunks(payload):
        if kind == b"IDAT":
            if not data_ended:
                data.append(body)
            continue
        data_ended = bool(data)
        if kind == b"eXIf" and intact:
            orientation = exif.orientation(body)
        elif kind in (b"IHDR", b"PLTE"):
            if not intact:
                raise NotAnImage(f"The PNG is damaged: the checksum of {kind.decode()} is wrong.")
            kept.setdefault(kind, body)
        elif kind == b"tRNS" and intact and not data:
            kept.setdefault(kind, body)
    width, height, decode_bytes = _check_header(kept.get(b"IHDR", b""))
    if not data:
        raise NotAnImage("The PNG is damaged: it has no image data.")
    kept |= {b"IDAT": b"".join(data), b"IEND": b""}
    order = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    return Structure(
        format="PNG",
        width=width,
        height=height,
        orientation=orientation,
        payload=SIGNATURE + b"".join(_chunk(kind, kept[kind]) for kind in order if kind in kept),
        heavy=decode_bytes >= HEAVY_DECODE_BYTES,
    )


def _chunks(payload: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield type, data and validity of the checksum of each chunk before IEND.

    The last chunk of a truncated file is incomplete.
    """
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(payload):
            return
        length, kind = struct.unpack_from(">I4s", payload, position)
        if kind == b"IEND":
            return
        start, end = position + 8, position + 8 + length
        # Image data has a checksum of its own (Adler-32), so only the others are worth the time.
        intact = kind == b"IDAT" or (
            end + 4 <= len(payload)
            and zlib.crc32(payload[position + 4 : end]).to_bytes(4) == payload[end : end + 4]
        )
        yield kind, payload[start:end], intact
        position = end + 4
    raise ImageTooLarge(f"The PNG has more than {MAX_CHUNKS} chunks.")


def _check_header(header: bytes) -> tuple[int, int, int]:
    """Return width, height and the bytes that Pillow needs. Raises as `read` does."""
    try:
        width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
        channels = _CHANNELS[colour]
    except (struct.error, KeyError):
        raise NotAnImage("The PNG is damaged: its header is missing or invalid.") from None
    if not (width and height) or depth not in (1, 2, 4, 8, 16) or interlaced > 1:
        raise NotAnImage("The PNG is damaged: its header is invalid.")
    check_size("PNG", width, height)
    pixels = width * height
    raw_bytes = height * -(-width * channels * depth // 8)
    if raw_bytes > MAX_RAW_BYTES:
        bits = channels * depth
        raise ImageTooLarge(
            f"The image has {pixels / 1e6:.1f} megapixels; the limit for a PNG with {bits} bits "
            f"per pixel is {MAX_RAW_BYTES * 8 / bits / 1e6:.0f}."
        )
    # Pillow's modes: 1, L and P take a byte per pixel, I;16 two, all others four.
    pixel_bytes = 4 if channels > 1 else 2 if depth == 16 else 1
    check_memory("a PNG", pixels / 1e6, pixels * pixel_bytes)
    return width, height, pixels * pixel_bytes


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4) + kind + body + checksum.to_bytes(4)
