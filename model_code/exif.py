"""Directories of TIFF structures, and the orientation in EXIF metadata.

Sources: TIFF 6.0, section 2; BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

ORIENTATION_TAG = 0x0112
_MAX_ENTRIES = 512  # cameras write about 20 into the first directory
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # by type: the unsigned integers


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a directory. `value_at` is the position of its first value."""

    tag: int
    kind: int
    count: int
    value_at: int


def byte_order(tiff: bytes) -> str | None:
    """Return the byte order as `struct` writes it, or None if `tiff` is not a TIFF structure."""
    return {b"II": "<", b"MM": ">"}.get(tiff[:2])


def entries(tiff: bytes) -> Iterator[Entry]:
    """Yield the entries of the first directory, up to 512. Raises `struct.error` if it is cut off.

    No other directory is followed, so loops of directories do no harm.
    """
    order = byte_order(tiff) or "<"
    big = tiff[2:4] in (b"+\0", b"\0+")
    offset, number, header = ("Q", "Q", 8) if big else ("I", "H", 4)
    (first,) = struct.unpack_from(order + offset, tiff, header)
    (count,) = struct.unpack_from(order + number, tiff, first)
    inline, size = struct.calcsize(offset), 4 + 2 * struct.calcsize(offset)
    start = first + struct.calcsize(number)
    for position in range(start, start + size * min(count, _MAX_ENTRIES), size):
        tag, kind, values = struct.unpack_from(f"{order}HH{offset}", tiff, position)
        value_at = position + size - inline
        if values * struct.calcsize(_FORMS.get(kind, "Q")) > inline:
            (value_at,) = struct.unpack_from(order + offset, tiff, value_at)
        yield Entry(tag, kind, values, value_at)


def values(tiff: bytes, entry: Entry, max_count: int) -> tuple[int, ...]:
    """Return up to `max_count` unsigned integers of an entry, or () if it has another type.

    Raises `struct.error` if they are outside the file.
    """
    form = _FORMS.get(entry.kind)
    if form is None:
        return ()
    order = byte_order(tiff) or "<"
    return struct.unpack_from(f"{order}{min(entry.count, max_count)}{form}", tiff, entry.value_at)


def orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, of a TIFF structure, with or without the prefix `Exif`.

    Broken or missing metadata means upright (1). Source: Exif 2.32, 4.6.4 A.
    """
    tiff = exif[6:] if exif[:4] == b"Exif" else exif
    if byte_order(tiff) is None:
        return 1
    try:
        for entry in entries(tiff):
            if entry.tag == ORIENTATION_TAG:
                # SHORT as the standard says; some writers use LONG or BYTE
                value = values(tiff, entry, 2)
                return value[0] if len(value) == 1 and 1 <= value[0] <= 8 else 1
    except struct.error:
        pass
    return 1
