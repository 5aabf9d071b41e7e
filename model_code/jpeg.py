"""The structure of a JPEG: dimensions, orientation, cost, and the segments that decide its pixels.

Sources: ITU-T T.81, annex B; libjpeg-turbo's jdmarker.c for how decoders read broken files.
"""

import re
import struct
from dataclasses import dataclass, field

from model_code import exif
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import HEAVY_DECODE_BYTES, Structure, check_memory, check_size

SIGNATURE = b"\xff\xd8\xff"
MAX_SEGMENTS = 2_000
"""Marker segments. A photo with a 1 MB profile and XMP in 64 KB segments has about 50."""
MAX_SCANS = 100
"""libjpeg writes 10 scans, mozjpeg's longest script has 40."""
MAX_SCAN_BLOCKS = 16_000_000
"""Blocks that all scans visit, up to 25 ns each. 40 megapixels in 10 scans are 5 million."""
HEAVY_SCAN_BLOCKS = 6_000_000
"""Blocks from which time makes an image heavy, whatever its memory."""
MIN_DRAFT_SIDE_PX = 1_000
"""Short side from which `decoding` decodes at half size or less, for inputs of up to 330 pixels."""
_ARITHMETIC_WEIGHT = 5  # an arithmetic-coded block may take 180 ns

_EOI = b"\xff\xd9"
# A marker with a segment: not stuffing (00), TEM (01), RST (D0 to D7) or fill (FF).
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
_FRAMES = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}
_ARITHMETIC_FRAMES = {0xC9: "extended", 0xCA: "progressive"}
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})


@dataclass(slots=True)
class _Frame:
    """A frame header. `blocks` are the 8 x 8 blocks by component id, `all_blocks` their sum."""

    segment: bytes
    width: int
    height: int
    progressive: bool
    arithmetic: bool
    components: int
    blocks: dict[int, int]
    all_blocks: int


@dataclass(slots=True)
class _Reader:
    """The segments for the decoder, and the state of reading them."""

    output: list[bytes | memoryview] = field(default_factory=lambda: [b"\xff\xd8"])
    tables: dict[tuple[int, int], bytes] = field(default_factory=dict)
    written: dict[tuple[int, int], bytes] = field(default_factory=dict)
    frame: _Frame | None = None
    jfif: bytes = b""
    adobe: bytes = b""
    orientation: int | None = None
    scans: int = 0
    scan_blocks: int = 0
    multiple_scans: bool = False


def read(payload: bytes) -> Structure:
    """Read the structure. Raises `ImageTooLarge` and `NotAnImage`."""
    reader = _Reader()
    position, complete = 2, False
    for _ in range(MAX_SEGMENTS + MAX_SCANS):
        marker = _MARKER.search(payload, position)
        if marker is None:
            break
        code, start = payload[marker.start() + 1], marker.end()
        if code == 0xD9:
            complete = True
            break
        end = start + int.from_bytes(payload[start : start + 2])
        if end > len(payload) or end < start + 2:
            break
        position = end
        if code == 0xDA:
            following = _MARKER.search(payload, end)
            position = following.start() if following else len(payload)
            _read_scan(reader, payload[start + 2 : end], memoryview(payload)[end:position])
        else:
            _read_segment(reader, code, payload[start + 2 : end])
    else:
        raise ImageTooLarge(f"The JPEG has more than {MAX_SEGMENTS} segments.")
    if reader.frame is None or not reader.scans:
        raise NotAnImage("The JPEG is damaged: it has no image data.")
    frame = reader.frame
    if not complete:
        reader.scan_blocks *= 3  # `decoding.is_cut_off` decodes it twice
        _check_scan_blocks(reader, frame)
    decode_bytes = _decode_bytes(reader, frame)
    return Structure(
        format="JPEG",
        width=frame.width,
        height=frame.height,
        orientation=reader.orientation or 1,
        payload=b"".join([*reader.output, _EOI]),
        heavy=decode_bytes >= HEAVY_DECODE_BYTES or reader.scan_blocks >= HEAVY_SCAN_BLOCKS,
        complete=complete,
    )


def _read_segment(reader: _Reader, code: int, body: bytes) -> None:
    if code in _OTHER_FRAMES:
        raise NotAnImage("The JPEG is lossless or hierarchical, which is not supported.")
    if code in _FRAMES or code in _ARITHMETIC_FRAMES:
        if reader.frame is not None:
            raise NotAnImage("The JPEG is damaged: it has two frames.")
        reader.frame = _read_frame(code, body)
    elif code == 0xC4:
        _read_huffman_tables(reader, body)
    elif code == 0xDB:
        _read_quantization_tables(reader, body)
    elif code == 0xCC:
        for offset in range(0, len(body) - 1, 2):
            reader.tables[code, body[offset]] = body[offset : offset + 2]
    elif code == 0xDD:
        reader.tables[code, 0] = body[:2]
    elif code == 0xE0 and body.startswith(b"JFIF\0"):
        reader.jfif = body[:14]
    elif code == 0xE1 and body.startswith(b"Exif\0") and reader.orientation is None:
        reader.orientation = exif.orientation(body)
    elif code == 0xEE and body.startswith(b"Adobe"):
        reader.adobe = body[:12]


def _read_frame(code: int, body: bytes) -> _Frame:
    try:
        precision, height, width, component_count = struct.unpack_from(">BHHB", body)
        components = [
            struct.unpack_from("BBB", body, 6 + 3 * index) for index in range(component_count)
        ]
    except struct.error:
        raise NotAnImage("The JPEG is damaged: its frame header is too short.") from None
    if precision != 8:
        raise NotAnImage(f"The JPEG has {precision} bits per sample; only 8 are supported.")
    if not (width and height):
        raise NotAnImage("The JPEG is damaged: it has no pixels.")
    if not 1 <= component_count <= 4:
        raise NotAnImage(f"The JPEG has {component_count} components; only 1 to 4 are supported.")
    check_size("JPEG", width, height)
    factors = [(sampling >> 4, sampling & 15) for _, sampling, _ in components]
    if not all(1 <= factor <= 4 for pair in factors for factor in pair):
        raise NotAnImage("The JPEG is damaged: its sampling factors are not 1 to 4.")
    widest, highest = max(h for h, _ in factors), max(v for _, v in factors)
    blocks: dict[int, int] = {}
    all_blocks = 0
    for (identifier, _, _), (h, v) in zip(components, factors, strict=True):
        count = -(-width * h // (8 * widest)) * -(-height * v // (8 * highest))
        blocks[identifier] = max(count, blocks.get(identifier, 0))  # several may share an id
        all_blocks += count
    return _Frame(
        segment=bytes([0xFF, code]) + (len(body) + 2).to_bytes(2) + body,
        width=width,
        height=height,
        progressive=code in (0xC2, 0xCA),
        arithmetic=code in _ARITHMETIC_FRAMES,
        components=len(components),
        blocks=blocks,
        all_blocks=all_blocks,
    )


def _read_huffman_tables(reader: _Reader, body: bytes) -> None:
    while body:
        size = 17 + sum(body[1:17])
        if len(body) < size:
            raise NotAnImage("The JPEG is damaged: a Huffman table is too short.")
        reader.tables[0xC4, body[0]] = body[:size]
        body = body[size:]


def _read_quantization_tables(reader: _Reader, body: bytes) -> None:
    while body:
        size = 129 if body[0] >> 4 else 65
        if len(body) < size:
            raise NotAnImage("The JPEG is damaged: a quantization table is too short.")
        reader.tables[0xDB, body[0] & 15] = body[:size]
        body = body[size:]


def _read_scan(reader: _Reader, header: bytes, data: memoryview) -> None:
    frame = reader.frame
    if frame is None or not header or len(header) < 4 + 2 * header[0]:
        raise NotAnImage("The JPEG is damaged: a scan has no frame or a short header.")
    components = header[1 : 1 + 2 * header[0] : 2]
    blocks = sum(frame.blocks.get(component, 0) for component in components)
    reader.scans += 1
    reader.scan_blocks += blocks * (_ARITHMETIC_WEIGHT if frame.arithmetic else 1)
    if reader.scans > MAX_SCANS:
        raise ImageTooLarge(f"The JPEG has more than {MAX_SCANS} scans.")
    _check_scan_blocks(reader, frame)
    if reader.scans == 1:
        reader.multiple_scans = len(components) < frame.components
        check_memory(
            "a progressive JPEG", frame.width * frame.height / 1e6, _decode_bytes(reader, frame)
        )
        for code, body in ((0xE0, reader.jfif), (0xEE, reader.adobe)):
            if body:
                reader.output.append(_segment(code, body))
        _write_tables(reader, {0xDB})
        reader.output.append(frame.segment)
    _write_tables(reader, {0xC4, 0xCC, 0xDB, 0xDD})
    reader.output += [_segment(0xDA, header), data]


def _check_scan_blocks(reader: _Reader, frame: _Frame) -> None:
    if reader.scan_blocks > MAX_SCAN_BLOCKS:
        raise ImageTooLarge(
            f"The JPEG has too many scans ({reader.scans} or more) for "
            f"{frame.width * frame.height / 1e6:.1f} megapixels. Save it as a baseline JPEG."
        )


def _write_tables(reader: _Reader, codes: set[int]) -> None:
    """Write the tables that changed since they were last written: the rest would be read twice."""
    for key, body in reader.tables.items():
        if key[0] in codes and reader.written.get(key) != body:
            reader.output.append(_segment(key[0], body))
            reader.written[key] = body


def _segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(body) + 2).to_bytes(2) + body


def _decode_bytes(reader: _Reader, frame: _Frame) -> int:
    """Estimate memory: coefficients (128 bytes per block) if the decoder keeps them, and pixels."""
    keeps_coefficients = frame.progressive or reader.multiple_scans
    pixels = frame.width * frame.height * (1 if frame.components == 1 else 4)
    if min(frame.width, frame.height) >= MIN_DRAFT_SIDE_PX:
        pixels //= 4
    return pixels + keeps_coefficients * 128 * frame.all_blocks
