"""The items of a HEIF file: reading them from one, and writing a file that has no others.

Sources: ISO/IEC 14496-12, section 8.11 (the box `meta`); ISO/IEC 23008-12, section 6 (image items).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from model_code.errors import ImageTooLarge, NotAnImage

MAX_ITEMS = 1_000
"""libheif's own limit. A phone's photo of 48 megapixels has about 250, with its gain map."""
MAX_BOXES = 10_000
MAX_LIST_BYTES = 100_000
"""Of a list of items, their positions, their properties or their references."""

_IN_FILE, _IN_IDAT = 0, 1


@dataclass(frozen=True, slots=True)
class Item:
    """An item. `extents` are starts and ends; `properties` are indices from 1."""

    kind: bytes
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Items:
    """The items of a file.

    `properties` are types and contents; `references` are items by the type and the source.
    """

    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    references: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)

    def properties_of(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield type and content of the properties of an item, in order."""
        for index in self.items[item].properties:
            if 1 <= index <= len(self.properties):
                yield self.properties[index - 1]


class _Reader:
    """Numbers from a box. Raises `struct.error` at its end."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 4
        self.version = body[0] if body else 0
        self.flags = int.from_bytes(body[1:4])

    def number(self, size: int) -> int:
        end = self._position + size
        if end > len(self._body):
            raise struct.error("the box is too short")
        value = int.from_bytes(self._body[self._position : end])
        self._position = end
        return value


def read(payload: bytes) -> Items:
    """Read the box `meta` of a file. Raises `ImageTooLarge` and `NotAnImage`."""
    meta = next((span for kind, span in _spans(payload, 0, len(payload)) if kind == b"meta"), None)
    if meta is None:
        raise NotAnImage("The HEIF has no still image.")
    boxes: dict[bytes, tuple[int, int]] = {}
    for kind, span in _spans(payload, meta[0] + 4, meta[1]):
        boxes.setdefault(kind, span)
    result = Items()

    def body(kind: bytes) -> bytes:
        start, end = boxes.get(kind, (0, 0))
        return payload[start:end]

    try:
        pitm = _Reader(body(b"pitm"))
        result.primary = pitm.number(4 if pitm.version else 2)
        _read_types(result, _checked_list(body(b"iinf")))
        _read_properties(result, body(b"iprp"))
        _read_references(result, _checked_list(body(b"iref")))
        _read_locations(result, _checked_list(body(b"iloc")), boxes.get(b"idat", (0, 0)))
    except struct.error:
        raise NotAnImage("The HEIF is damaged: a list of its items is cut off.") from None
    if result.primary not in result.items:
        raise NotAnImage("The HEIF is damaged: it has no primary image.")
    return result


def _spans(payload: bytes, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield type, start and end of the content of each box in a part of the file."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = int.from_bytes(payload[start : start + 4]), payload[start + 4 : start + 8]
        header = 8
        if size == 1:
            size, header = int.from_bytes(payload[start + 8 : start + 16]), 16
        stop = min(start + size, end) if size else end
        if stop < start + header:
            return
        yield kind, (start + header, stop)
        start = stop
    raise ImageTooLarge(f"The HEIF has more than {MAX_BOXES} boxes.")


def _read_types(result: Items, body: bytes) -> None:
    for kind, (start, end) in _spans(body, 8 if body[:1] != b"\0" else 6, len(body)):
        entry = _Reader(body[start:end])
        if kind == b"infe" and entry.version >= 2:
            identifier = entry.number(2 if entry.version == 2 else 4)
            entry.number(2)  # protection
            result.items.setdefault(identifier, Item(entry.number(4).to_bytes(4)))
            _check_count(len(result.items))


def _check_count(count: int) -> None:
    if count > MAX_ITEMS:
        raise ImageTooLarge(f"The HEIF has more than {MAX_ITEMS} items.")


def _read_properties(result: Items, body: bytes) -> None:
    for kind, (start, end) in _spans(body, 0, len(body)):
        if kind == b"ipco":
            for name, (first, last) in _spans(body, start, end):
                result.properties.append((name, body[first:last]))
                _check_count(len(result.properties))
        elif kind == b"ipma":
            associations = _Reader(_checked_list(body[start:end]))
            width = 2 if associations.flags & 1 else 1
            for _ in range(_checked(associations.number(4))):
                identifier = associations.number(4 if associations.version else 2)
                indices = [associations.number(width) for _ in range(associations.number(1))]
                if identifier in result.items:
                    mask = 0x7FFF if width == 2 else 0x7F
                    result.items[identifier].properties[:] = [index & mask for index in indices]


def _checked(count: int) -> int:
    _check_count(count)
    return count


def _checked_list(body: bytes) -> bytes:
    if len(body) > MAX_LIST_BYTES:
        raise ImageTooLarge(f"The HEIF has a list of items of more than {MAX_LIST_BYTES} bytes.")
    return body


def _read_references(result: Items, body: bytes) -> None:
    width = 4 if body[:1] == b"\1" else 2
    for kind, (start, end) in _spans(body, 4, len(body)):
        reference = _Reader(b"\0\0\0\0" + body[start:end])
        source = reference.number(width)
        targets = [reference.number(width) for _ in range(_checked(reference.number(2)))]
        result.references.setdefault((kind, source), targets)


def _read_locations(result: Items, body: bytes, idat: tuple[int, int]) -> None:
    reader = _Reader(body)
    sizes = reader.number(2)
    offset_size, length_size, base_size = (sizes >> shift & 15 for shift in (12, 8, 4))
    index_size = sizes & 15 if reader.version else 0
    if not length_size:  # the item would be the rest of the file
        raise NotAnImage("The HEIF is damaged: its items have no length.")
    for _ in range(_checked(reader.number(4 if reader.version == 2 else 2))):
        identifier = reader.number(4 if reader.version == 2 else 2)
        method = reader.number(2) & 15 if reader.version else _IN_FILE
        reader.number(2)  # the file that has the data: always this one
        base = reader.number(base_size)
        extents = []
        for _ in range(_checked(reader.number(2))):
            reader.number(index_size)
            start = base + reader.number(offset_size)
            extents.append((start, start + reader.number(length_size)))
        if method == _IN_IDAT:
            extents = [(idat[0] + start, min(idat[0] + end, idat[1])) for start, end in extents]
        if identifier in result.items and method in (_IN_FILE, _IN_IDAT):
            result.items[identifier].extents[:] = extents


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box with the concatenated `parts`."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content
