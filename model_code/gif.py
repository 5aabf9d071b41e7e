"""The structure of a GIF: the size of its first frame, and the blocks that decide its pixels.

Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_size

MAX_BLOCKS = 40_000
"""Blocks of up to 255 bytes in front of and in the first frame: 5 MiB in full blocks are 20,600."""

_IMAGE, _EXTENSION, _TRAILER = b"\x2c", b"\x21", b"\x3b"
_GRAPHIC_CONTROL = 0xF9
_TRANSPARENT = 0x01


def read(payload: bytes) -> Structure:
    """Read the structure. The image is the first frame, whatever canvas it is on.

    Raises `ImageTooLarge` and `NotAnImage`.
    """
    reader = _Reader(payload)
    screen = reader.take(7)
    palette = reader.palette(screen[4])
    control = b""
    while (kind := reader.take(1)) == _EXTENSION:
        label = reader.take(1)
        body = reader.blocks()
        if label[0] == _GRAPHIC_CONTROL and len(body) == 6:
            control = kind + label + body
    if kind != _IMAGE:
        raise NotAnImage("The GIF is damaged: it has no image.")
    frame = reader.take(9)
    width, height = (int.from_bytes(frame[start : start + 2], "little") for start in (4, 6))
    if not (width and height):
        raise NotAnImage("The GIF is damaged: it has no pixels.")
    check_size("GIF", width, height)
    local_palette = reader.palette(frame[8])
    code_bits = reader.take(1)
    size = frame[4:8]
    return Structure(
        format="GIF",
        width=width,
        height=height,
        orientation=1,
        payload=b"GIF89a"
        + size
        + screen[4:7]
        + palette
        + control
        + _IMAGE
        + bytes(4)
        + size
        + frame[8:]
        + local_palette
        + code_bits
        + reader.blocks()
        + _TRAILER,
        heavy=width * height >= HEAVY_DECODE_BYTES,
    )


class _Reader:
    """A position in a GIF. Raises `NotAnImage` at its end."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._position = 6
        self._blocks = 0

    def take(self, count: int) -> bytes:
        start = self._position
        self._position += count
        if self._position > len(self._payload):
            raise NotAnImage("The GIF is damaged: it ends before its first frame.")
        return self._payload[start : self._position]

    def palette(self, flags: int) -> bytes:
        return self.take(3 << (flags & 7) + 1) if flags & 0x80 else b""

    def blocks(self) -> bytes:
        """Return a sequence of blocks and its end, which a truncated file may lack."""
        start = position = self._position
        self._blocks += 1
        while position < len(self._payload) and (length := self._payload[position]):
            position += 1 + length
            self._blocks += 1
        if self._blocks > MAX_BLOCKS:
            raise ImageTooLarge(f"The GIF has more than {MAX_BLOCKS} blocks.")
        self._position = position + 1
        return self._payload[start:position] + b"\0"
