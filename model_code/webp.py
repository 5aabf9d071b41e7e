"""The structure of a WebP: dimensions, orientation, cost, and the chunks that decide its pixels.

Source: https://developers.google.com/speed/webp/docs/riff_container
"""

from collections.abc import Iterator

from model_code import exif
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import (
    HEAVY_DECODE_BYTES,
    MAX_DECODE_BYTES,
    Structure,
    check_memory,
    check_size,
)

MAX_CHUNKS = 10_000
"""An animation has one chunk per frame."""
DECODE_BYTES_PER_PIXEL = 17.3
"""Pillow decodes through libwebp's animation decoder: two canvases, the frame and its own copy
(measured, lossless with alpha)."""
TABLE_BYTES = 20_000
"""Huffman tables that a lossless image may have for every 4 x 4 pixels (libwebp's kTableSize)."""
MIN_TABLE_BITS = 20
"""The shortest description of these tables: five codes of one symbol."""

_KEPT = (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")  # in the order of the container
_ALPHA_FLAG, _ANIMATION_FLAG = 0x10, 0x02


def is_webp(payload: bytes) -> bool:
    """Return whether a file starts as a WebP does."""
    return payload[:4] == b"RIFF" and payload[8:12] == b"WEBP"


def read(payload: bytes) -> Structure:
    """Read the structure, for an animation of its first frame.

    Raises `ImageTooLarge` and `NotAnImage`.
    """
    kept: dict[bytes, bytes] = {}
    for kind, body in _chunks(payload):
        if kind in (b"EXIF", *_KEPT):
            kept.setdefault(kind, body)
    extended = kept.get(b"VP8X")
    width, height = _frame_size(kept)
    if extended is not None:
        if len(extended) < 10:
            raise NotAnImage("The WebP is damaged: its header is too short.")
        width = max(width, 1 + int.from_bytes(extended[4:7], "little"))
        height = max(height, 1 + int.from_bytes(extended[7:10], "little"))
        kept[b"VP8X"] = bytes([extended[0] & (_ALPHA_FLAG | _ANIMATION_FLAG)]) + extended[1:10]
    check_size("WebP", width, height)
    megapixels = width * height / 1e6
    decode_bytes = int(DECODE_BYTES_PER_PIXEL * width * height)
    check_memory("a WebP", megapixels, decode_bytes)
    lossless_bytes = sum(len(kept.get(kind, b"")) for kind in (b"VP8L", b"ALPH", b"ANMF"))
    blocks = -(-width // 4) * -(-height // 4)
    decode_bytes += TABLE_BYTES * min(blocks, 8 * lossless_bytes // MIN_TABLE_BITS)
    content = b"WEBP" + b"".join(_chunk(kind, kept[kind]) for kind in _KEPT if kind in kept)
    return Structure(
        format="WEBP",
        width=width,
        height=height,
        orientation=exif.orientation(kept.get(b"EXIF", b"")),
        payload=b"RIFF" + len(content).to_bytes(4, "little") + content,
        heavy=decode_bytes >= HEAVY_DECODE_BYTES,
        isolate=decode_bytes > MAX_DECODE_BYTES,
    )


def _chunks(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(payload):
            return
        length = int.from_bytes(payload[position + 4 : position + 8], "little")
        start, end = position + 8, position + 8 + length
        yield payload[position : position + 4], payload[start:end]
        position = end + (length & 1)
    raise ImageTooLarge(f"The WebP has more than {MAX_CHUNKS} chunks.")


def _frame_size(kept: dict[bytes, bytes]) -> tuple[int, int]:
    """Return the frame's width and height from its bitstream; 0 x 0 for an animation."""
    if (lossy := kept.get(b"VP8 ")) is not None and lossy[3:6] == b"\x9d\x01\x2a":
        return (
            int.from_bytes(lossy[6:8], "little") & 0x3FFF,
            int.from_bytes(lossy[8:10], "little") & 0x3FFF,
        )
    if (lossless := kept.get(b"VP8L")) is not None and lossless[:1] == b"\x2f":
        bits = int.from_bytes(lossless[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if b"ANMF" in kept and b"VP8X" in kept:
        return 0, 0
    raise NotAnImage("The WebP is damaged: it has no image data.")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) & 1)
