"""The structure of AVIF and HEIC: dimensions, orientation, cost, and the items of the still image.

Thumbnails, depth, gain maps, sequences and metadata are left out. Sources: ISO/IEC 23008-12,
section 6; https://aomediacodec.github.io/av1-avif/
"""

from model_code import heif_items
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.heif_items import Items, box
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_memory, check_size

DECODE_BYTES_PER_PIXEL = {"HEIC": 9.0, "AVIF": 9.2}
"""Measured with pillow-heif 1.8.1 and Pillow 13: the decoder's planes, RGB and its copy."""

ALPHA_BYTES_PER_PIXEL = {"HEIC": 2.0, "AVIF": 2.5}
DEEP_BYTES_PER_PIXEL = {"HEIC": 5.0, "AVIF": 1.6}
"""More for 10 and 12 bits per sample."""
MAX_TILE_FACTOR = 2.0
"""Pixels of all tiles, by those of the image. Tiles may overlap its right and bottom edge."""

_CODECS = {b"av01": "AVIF", b"hvc1": "HEIC"}
_DERIVED = (b"grid", b"iden")
_CONFIGURATIONS = (b"av1C", b"hvcC")
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
# By quarter turns anticlockwise, then by no mirror, a vertical and a horizontal one.
_ORIENTATIONS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


def read(payload: bytes) -> Structure:
    """Read the structure of the primary image. Raises `ImageTooLarge` and `NotAnImage`."""
    items = heif_items.read(payload)
    primary = items.primary
    tiles = _tiles(items, primary)
    format = _format(items, tiles)
    width, height = _size(items, primary, format)
    check_size(format, width, height)
    sizes = [_size(items, tile, format) for tile in tiles]
    tile_pixels = sum(tile_width * tile_height for tile_width, tile_height in sizes)
    if tile_pixels > MAX_TILE_FACTOR * width * height + 2**20:
        raise ImageTooLarge(f"The {format} has tiles with {tile_pixels / 1e6:.1f} megapixels.")
    alpha = _alpha(items)
    bytes_per_pixel = DECODE_BYTES_PER_PIXEL[format]
    bytes_per_pixel += ALPHA_BYTES_PER_PIXEL[format] if alpha else 0
    bytes_per_pixel += DEEP_BYTES_PER_PIXEL[format] if _is_deep(items, tiles[0]) else 0
    decode_bytes = int(bytes_per_pixel * width * height)
    check_memory("an AVIF" if format == "AVIF" else "a HEIC", width * height / 1e6, decode_bytes)
    kept = [primary, *tiles, *([alpha, *_tiles(items, alpha)] if alpha else [])]
    return Structure(
        format=format,
        width=width,
        height=height,
        orientation=_orientation(items),
        payload=_write(payload, items, format, sorted(set(kept)), alpha),
        heavy=decode_bytes >= HEAVY_DECODE_BYTES,
        isolate=True,
        decode_bytes=decode_bytes,
    )


def _tiles(items: Items, item: int) -> list[int]:
    """Return the coded items that an item consists of: itself, or the tiles of a grid."""
    if items.items[item].kind not in _DERIVED:
        return [item]
    tiles = items.references.get((b"dimg", item), [])
    if not tiles or not all(tile in items.items for tile in tiles):
        raise NotAnImage("The HEIF is damaged: it has no tiles.")
    return tiles


def _format(items: Items, tiles: list[int]) -> str:
    kinds = {items.items[tile].kind for tile in tiles}
    formats = {_CODECS.get(kind) for kind in kinds}
    if len(formats) == 1 and (format := formats.pop()):
        return format
    names = ", ".join(sorted(ascii(kind.decode("latin-1")) for kind in kinds))
    raise NotAnImage(f"The HEIF is encoded as {names}; only AVIF and HEIC are supported.")


def _size(items: Items, item: int, format: str) -> tuple[int, int]:
    """Return width and height as stored, for HEIC after its clean aperture, which libheif cuts."""
    size = (0, 0)
    for kind, body in items.properties_of(item):
        if kind == b"ispe" and len(body) >= 12:
            size = int.from_bytes(body[4:8]), int.from_bytes(body[8:12])
        elif kind == b"clap" and len(body) >= 16 and format == "HEIC" and item == items.primary:
            terms = [int.from_bytes(body[start : start + 4]) for start in range(0, 16, 4)]
            if terms[1] and terms[3]:
                cut = terms[0] // terms[1], terms[2] // terms[3]
                size = min(size[0], cut[0]), min(size[1], cut[1])
    if not all(size):
        raise NotAnImage(f"The {format} is damaged: its size is missing.")
    return size


def _is_deep(items: Items, item: int) -> bool:
    for kind, body in items.properties_of(item):
        if kind == b"av1C" and len(body) > 2:
            return bool(body[2] & 0x40)
        if kind == b"hvcC" and len(body) > 17:
            return bool(body[17] & 7)
    return False


def _alpha(items: Items) -> int | None:
    """Return the item with the transparency of the primary image."""
    for (kind, source), targets in items.references.items():
        if kind == b"auxl" and items.primary in targets and source in items.items:
            for name, body in items.properties_of(source):
                if name == b"auxC" and body[4:].startswith(_ALPHA):
                    return source
    return None


def _orientation(items: Items) -> int:
    """Return the EXIF orientation that equals the rotation and the mirror of the primary image."""
    turns = mirror = 0
    for kind, body in items.properties_of(items.primary):
        if kind == b"irot" and body:
            # A turn after the mirror equals the opposite turn before it.
            turns = -(body[0] & 3) % 4 if mirror else body[0] & 3
        elif kind == b"imir" and body:
            mirror = 1 + (body[0] & 1)
    return _ORIENTATIONS[turns][mirror]


def _write(payload: bytes, items: Items, format: str, kept: list[int], alpha: int | None) -> bytes:
    """Return a file with the items in `kept`, none of them turned."""
    brand = format.lower().encode()
    if any(end > len(payload) for item in kept for _, end in items.items[item].extents):
        raise NotAnImage(f"The {format} is cut off.")
    data = [b"".join(payload[start:end] for start, end in items.items[i].extents) for i in kept]
    if sum(map(len, data)) > len(payload):
        raise NotAnImage(f"The {format} is damaged: its items overlap.")
    if not all(data):
        raise NotAnImage(f"The {format} is damaged: it has no image data.")
    properties: dict[bytes, int] = {}  # boxes and their indices, from 1
    associations = []
    for item in kept:
        indices = []
        for kind, body in items.properties_of(item):
            if _decides_pixels(kind, body, format):
                index = properties.setdefault(box(kind, body), len(properties) + 1)
                essential = kind in (*_CONFIGURATIONS, b"clap")
                indices.append(index | 0x8000 * essential)
        associations.append(_number(item, 4) + _number(len(indices), 1) + _numbers(indices, 2))
    entries = [
        box(b"infe", b"\3\0\0\0", _number(item, 4), b"\0\0", items.items[item].kind, b"\0")
        for item in kept
    ]
    references = []
    for kind, source in (
        (b"dimg", items.primary),
        (b"prem", items.primary),
        (b"dimg", alpha),
        (b"auxl", alpha),
    ):
        targets = items.references.get((kind, source), []) if source is not None else []
        targets = [target for target in targets if target in kept]
        if targets:
            content = _number(source or 0, 4) + _number(len(targets), 2) + _numbers(targets, 4)
            references.append(box(kind, content))
    head = box(b"ftyp", brand, bytes(4), brand, b"mif1miaf")

    def meta(data_at: int) -> bytes:
        locations = b""
        for item, content in zip(kept, data, strict=True):
            locations += _number(item, 4) + bytes(4) + b"\0\1" + _number(data_at, 4)
            locations += _number(len(content), 4)
            data_at += len(content)
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", b"\1\0\0\0", _number(items.primary, 4)),
            box(b"iloc", b"\2\0\0\0\x44\0", _number(len(kept), 4), locations),
            box(b"iinf", b"\1\0\0\0", _number(len(kept), 4), *entries),
            *([box(b"iref", b"\1\0\0\0", *references)] if references else []),
            box(
                b"iprp",
                box(b"ipco", *properties),
                box(b"ipma", b"\1\0\0\1", _number(len(kept), 4), *associations),
            ),
        )

    data_at = len(head) + len(meta(0)) + 8
    return head + meta(data_at) + box(b"mdat", *data)


def _decides_pixels(kind: bytes, body: bytes, format: str) -> bool:
    if kind == b"colr":
        return body[:4] == b"nclx"
    if kind == b"clap":
        return format == "HEIC"
    return kind in (*_CONFIGURATIONS, b"ispe", b"pixi", b"auxC")


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size)


def _numbers(values: list[int], size: int) -> bytes:
    return b"".join(value.to_bytes(size) for value in values)
