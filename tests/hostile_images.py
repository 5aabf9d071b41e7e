"""Images built to cost as much as possible: for each family, the worst that the limits let through,
and what lies far beyond them."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image

MAX_BYTES = 5 * 1024 * 1024
Build = Callable[[], bytes]


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A smooth image with a little noise: it compresses as a photo does."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BILINEAR)
    if mode == "RGBA":
        alpha = Image.fromarray(rng.integers(0, 255, (48, 64), dtype=np.uint8))
        image.putalpha(alpha.resize((width, height)))
        return image
    return image.convert(mode)


# JPEG


def segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def huffman_tables() -> bytes:
    """The standard tables, from a baseline file."""
    payload = encode(Image.new("RGB", (16, 16)), "JPEG")
    tables, position = b"", 2
    while payload[position + 1] != 0xDA:
        length = 2 + struct.unpack(">H", payload[position + 2 : position + 4])[0]
        if payload[position + 1] in (0xC4, 0xDB):
            tables += payload[position : position + length]
        position += length
    return tables


def frame(code: int, width: int, height: int, sampling: list[int]) -> bytes:
    body = struct.pack(">BHHB", 8, height, width, len(sampling))
    for index, factors in enumerate(sampling):
        body += bytes([index + 1, factors, min(index, 1)])
    return segment(code, body)


def scan(components: list[int], first: int, last: int, high: int = 0, low: int = 0) -> bytes:
    body = bytes([len(components)])
    for component in components:
        body += bytes([component, 0x11 if component > 1 else 0])
    return segment(0xDA, body + bytes([first, last, high << 4 | low]))


def scans(
    width: int, height: int, count: int, sampling: list[int], arithmetic: bool = False
) -> bytes:
    """A progressive JPEG with `count` scans of almost no data."""
    head = b"\xff\xd8" + huffman_tables()
    head += frame(0xCA if arithmetic else 0xC2, width, height, sampling)
    every = list(range(1, len(sampling) + 1))
    body = scan(every, 0, 0, 0, 1) + b"\0"
    for index in range(count - 1):
        body += scan([1 + index % len(sampling)], 1, 63, 0 if index < len(sampling) else 1, 0)
        body += b"\0"
    return head + body + b"\xff\xd9"


def refinements(
    width: int, height: int, count: int, arithmetic: bool = False, restart: int = 0
) -> bytes:
    """A grey JPEG with `count` scans that visit each coefficient and change none.

    With Huffman coding, 15 bits skip 32,767 blocks; without data, arithmetic decoders read zeros.
    """
    head = b"\xff\xd8" + huffman_tables() + segment(0xDD, struct.pack(">H", restart))
    head += frame(0xCA if arithmetic else 0xC2, width, height, [0x11])
    body = scan([1], 0, 0) + b"\0"
    body += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")  # code 0: a run of blocks
    runs = -(-width // 8) * -(-height // 8) // 32_767 + 1
    bits = np.tile(np.array([0] + [1] * 14, np.uint8), runs)
    data = np.packbits(bits).tobytes().replace(b"\xff", b"\xff\0")
    for _ in range(count - 1):
        body += scan([1], 1, 63, 1, 0) + (b"\0" if arithmetic else data)
    return head + body + b"\xff\xd9"


def without_end_marker(build: Build) -> bytes:
    return build()[:-2]


def with_segments(payload: bytes, flood: bytes) -> bytes:
    """Insert `flood` behind the start of a JPEG, as often as fits."""
    times = (MAX_BYTES - len(payload)) // len(flood)
    return payload[:2] + flood * times + payload[2:]


def between_scans(payload: bytes, flood: bytes) -> bytes:
    """Insert `flood` in front of the last scan of a JPEG, as often as fits."""
    position = payload.rindex(b"\xff\xda")
    times = (MAX_BYTES - len(payload)) // len(flood)
    return payload[:position] + flood * times + payload[position:]


def in_scan(payload: bytes, flood: bytes) -> bytes:
    """Append `flood` to the data of the last scan, as often as fits."""
    times = (MAX_BYTES - len(payload)) // len(flood)
    return payload[:-2] + flood * times + payload[-2:]


def jpegs() -> Iterator[tuple[str, Build]]:
    for arithmetic in (False, True):
        name = "arithmetic" if arithmetic else "Huffman"
        for count in (10, 25, 100, 1000, 5000):
            for sampling in ([0x11], [0x22, 0x11, 0x11], [0x11] * 3, [0x11] * 4):
                for width, height in ((6320, 6320), (4000, 3000), (65500, 610)):
                    yield (
                        f"JPEG, {count} {name} scans, {len(sampling)} components of "
                        f"{sampling[0]:#x}, {width} x {height}",
                        partial(scans, width, height, count, sampling, arithmetic),
                    )
    for count in (6, 12, 25):
        for arithmetic in (False, True):
            for restart in (0, 1):
                build = partial(refinements, 6320, 6320, count, arithmetic, restart)
                name = (
                    f"JPEG, {count} {'arithmetic' if arithmetic else 'Huffman'} refinements, "
                    f"restart interval {restart}"
                )
                yield name, build
                yield f"{name}, no end marker", partial(without_end_marker, build)
    floods = {
        "APP0": segment(0xE0, b""), "APP1": segment(0xE1, b""),
        "Exif": segment(0xE1, b"Exif\0\0" + b"II*\0\x08\0\0\0\0\0"),
        "Exif of 64 KB": segment(0xE1, b"Exif\0\0" + bytes(65000)),
        "XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"<x/>" * 10),
        "ICC": segment(0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(20)),
        "MPF": segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0"), "COM": segment(0xFE, b""),
        "RST": b"\xff\xd0", "fill": b"\xff", "DQT": segment(0xDB, b"\0" + bytes([1] * 64)),
        "DHT": segment(0xC4, b"\0" + bytes([0, 1] + [0] * 14) + b"\0"),
        "DRI": segment(0xDD, b"\0\1"),
        "Adobe": segment(0xEE, b"Adobe\0\x64\0\0\0\0\1"),
        "TEM": b"\xff\x01", "stuffing": b"\xff\0",
    }  # fmt: skip
    for name, flood in floods.items():
        for place, insert in (
            ("in front", with_segments), ("between scans", between_scans), ("in a scan", in_scan)
        ):  # fmt: skip
            yield f"JPEG, {name} {place}", partial(_flooded, insert, flood)
    for progressive in (False, True):
        kind = "progressive" if progressive else "baseline"
        for subsampling in ("4:4:4", "4:2:0"):
            yield (
                f"JPEG, 40 megapixels, {kind}, {subsampling}",
                partial(
                    _encoded_photo, 7300, 5470, "RGB", "JPEG", quality=70,
                    progressive=progressive, subsampling=subsampling,
                ),
            )  # fmt: skip
        yield (
            f"JPEG, 610 x 65500, {kind}",
            partial(_encoded_photo, 610, 65500, "RGB", "JPEG", progressive=progressive),
        )
    yield (
        "JPEG, CMYK, 40 megapixels",
        partial(_encoded_photo, 7300, 5470, "CMYK", "JPEG", quality=70),
    )
    yield "MPO, 60 frames", partial(_frames, "MPO", 60, "RGB")


def _flooded(insert: Callable[[bytes, bytes], bytes], flood: bytes) -> bytes:
    return insert(_encoded_photo(640, 480, "RGB", "JPEG", progressive=True), flood)


def _encoded_photo(width: int, height: int, mode: str, format: str, **options: object) -> bytes:
    return encode(photo(width, height, mode), format, **options)


def _frames(format: str, count: int, mode: str, **options: object) -> bytes:
    frames = [photo(800, 600, mode)] * count
    return encode(frames[0], format, save_all=True, append_images=frames[1:], **options)


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png(
    width: int, height: int, depth: int, colour: int, *, interlaced: bool = False, filter_: int = 4,
    extra: bytes = b"", between: bytes = b"", data: bytes | None = None,
) -> bytes:  # fmt: skip
    """A PNG of zeros, every row filtered with Paeth, the costliest filter."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    if data is None:
        row = bytes([filter_]) + bytes((width * channels * depth + 7) // 8)
        compressor, parts = zlib.compressobj(1), []
        rows = height * 2 if interlaced else height
        for _ in range(0, rows, max(1, 1_000_000 // len(row))):
            parts.append(compressor.compress(row * max(1, 1_000_000 // len(row))))
        data = b"".join([*parts, compressor.flush()])
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + extra
        + between + chunk(b"IDAT", data) + between + chunk(b"IEND", b"")
    )  # fmt: skip


def dynamic_blocks(total_bytes: int) -> bytes:
    """A deflate stream of empty blocks, each with tables of its own to build."""
    bits: list[int] = []

    def put(value: int, count: int) -> None:
        bits.extend((value >> index) & 1 for index in range(count))

    # HLIT 286, HDIST 30, HCLEN 18; code lengths of 1 bit for 18 (repeat zero) and 1
    put(0b100, 3)
    put(29, 5)
    put(29, 5)
    put(14, 4)
    lengths = {18: 1, 1: 1}
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
        put(lengths.get(symbol, 0), 3)
    # Codes by symbol: 1 is 0, 18 is 1. Then 256 zeros, lengths 1 1, 28 zeros, 1 1, 28 zeros.
    for zeros in (138, 118):
        put(1, 1)
        put(zeros - 11, 7)
    put(0, 1)
    put(0, 1)
    put(1, 1)
    put(28 - 11, 7)
    put(0, 1)
    put(0, 1)
    put(1, 1)
    put(28 - 11, 7)
    put(0, 1)  # end of block, the first of two codes of 1 bit
    while len(bits) % 8:
        bits += bits[: len(bits)] if len(bits) < 4096 else [0]
    block = np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()
    return b"\x78\x01" + block * (total_bytes // len(block))


def pngs() -> Iterator[tuple[str, Build]]:
    for depth, colour, name in (
        (8, 2, "RGB"), (16, 2, "16-bit RGB"), (8, 6, "RGBA"), (16, 6, "16-bit RGBA"),
        (8, 0, "grey"),
        (16, 0, "16-bit grey"), (8, 3, "palette"), (1, 0, "1-bit grey"), (8, 4, "grey + alpha"),
        (16, 4, "16-bit grey + alpha"),
    ):  # fmt: skip
        transparent = {0: b"\0\0", 2: b"\0" * 6, 3: b"\0" * 256}.get(colour)
        for width, height in ((6320, 6320), (4600, 3450), (65_000, 610), (610, 65_000)):
            for interlaced in (False, True):
                tag = ", Adam7" if interlaced else ""
                yield (
                    f"PNG, {name}{tag}, {width} x {height}",
                    partial(png, width, height, depth, colour, interlaced=interlaced),
                )
            if transparent:
                yield (
                    f"PNG, {name} + tRNS, {width} x {height}",
                    partial(png, width, height, depth, colour, extra=chunk(b"tRNS", transparent)),
                )
        yield f"PNG, {name}, 1 x 40,000,000", partial(png, 1, 40_000_000, depth, colour)
        yield f"PNG, {name}, 40,000,000 x 1", partial(png, 40_000_000, 1, depth, colour)
    for name, body in (
        ("tEXt", b"a\0b"), ("zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))),
        ("iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(1_000_000))),
        ("iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000))), ("eXIf", b"II*\0\x08\0\0\0\0\0"),
        ("gAMA", b"\0\0\0\1"), ("IDAT", b""), ("fdAT", b"\0\0\0\0"), ("abCd", b""),
    ):  # fmt: skip
        flood = chunk(name.encode(), body)
        yield (
            f"PNG, {name} flood",
            partial(png, 64, 64, 8, 2, extra=flood * (2_500_000 // len(flood))),
        )
        yield f"PNG, 3,000 {name}", partial(png, 64, 64, 8, 2, extra=(flood * 3000)[:MAX_BYTES])
    yield "PNG, empty deflate blocks", _png_of_empty_blocks


def _png_of_empty_blocks() -> bytes:
    return png(4000, 3000, 8, 2, data=dynamic_blocks(5_000_000))


# WebP


def riff(content: bytes) -> bytes:
    content = b"WEBP" + content
    return b"RIFF" + struct.pack("<I", len(content)) + content


def webps() -> Iterator[tuple[str, Build]]:
    for width, height in ((6320, 6320), (4100, 3070), (16_383, 790), (16_383, 2_440)):
        for mode in ("RGB", "RGBA"):
            for lossless in (False, True):
                kind = "lossless" if lossless else "lossy"
                yield (
                    f"WebP, {kind}, {mode}, {width} x {height}",
                    partial(
                        _encoded_photo, width, height, mode, "WEBP",
                        lossless=lossless, quality=10, method=0,
                    ),
                )  # fmt: skip
    yield "WebP, flat with alpha", partial(_flat_webp, 4100, 3070)
    yield "WebP, flat with alpha, 40 megapixels", partial(_flat_webp, 6320, 6320)
    yield "WebP, animated", partial(_frames, "WEBP", 40, "RGBA", quality=5, method=0)
    yield "WebP, huge canvas", _webp_on_a_huge_canvas
    for groups in (1_000, 65_536):
        yield f"WebP, {groups} groups of Huffman tables", partial(webp_with_groups, groups)
    yield "WebP, 10,000 groups in 400 x 400 pixels", partial(webp_with_groups, 10_000, 400)
    for name in (b"EXIF", b"XMP ", b"ICCP", b"abcd"):
        yield f"WebP, {name.decode().strip()} flood", partial(_flooded_webp, name)


def _flat_webp(width: int, height: int) -> bytes:
    return encode(Image.new("RGBA", (width, height)), "WEBP", lossless=True, method=0)


def _webp_on_a_huge_canvas() -> bytes:
    canvas = struct.pack("<B3x", 0x02) + (16_382).to_bytes(3, "little") * 2
    body = b"\0" * 6 + b"\x0f\0\0" * 2 + b"\x0a\0\0\0" + _tiny_webp_chunks()
    frame = b"ANMF" + struct.pack("<I", len(body)) + body
    header = b"VP8X" + struct.pack("<I", 10) + canvas
    return riff(header + b"ANIM\x06\0\0\0" + bytes(6) + frame)


def _flooded_webp(name: bytes) -> bytes:
    return riff((name + struct.pack("<I", 0)) * 600_000 + _tiny_webp_chunks())


def _tiny_webp_chunks() -> bytes:
    return encode(Image.new("RGB", (16, 16)), "WEBP")[12:]


def webp_with_groups(count: int, side: int = 1024) -> bytes:
    """A lossless WebP whose blocks of 4 x 4 pixels use `count` sets of tables.

    Source: https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification
    """
    bits: list[np.ndarray] = []

    def put(value: int, width: int) -> None:
        bits.append(np.array([(value >> index) & 1 for index in range(width)], np.uint8))

    def put_one_symbol_code() -> None:
        put(0b0001, 4)  # simple, one symbol, which is 0

    def put_eight_bit_code() -> None:
        put(0, 1)
        put(12 - 4, 4)
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):  # lengths are 0 or 8
            put(symbol in (0, 8), 3)
        # 256 lengths follow
        put(0b0111, 4)
        put(256 - 2, 8)
        bits.append(np.ones(256, np.uint8))

    put(0x2F, 8)
    put(side - 1, 14)
    put(side - 1, 14)
    put(0, 4)
    put(0, 2)  # neither transforms nor a colour cache
    put(0b0001, 4)  # several groups, one per block of 4 x 4 pixels
    put(0, 1)
    # green and red hold the number of a block's group
    put_eight_bit_code()
    put_eight_bit_code()
    put_one_symbol_code()
    put_one_symbol_code()
    put_one_symbol_code()
    reversed_bits = np.array([int(f"{value:08b}"[::-1], 2) for value in range(256)])
    groups = np.arange((side // 4) ** 2) % count
    codes = reversed_bits[groups & 255] | reversed_bits[groups >> 8] << 8
    bits.append(((codes[:, np.newaxis] >> np.arange(16)) & 1).astype(np.uint8).ravel())
    bits.append(np.tile(np.array([1, 0, 0, 0], np.uint8), 5 * count))
    data = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    return riff(b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1))


FAMILIES: dict[str, Callable[[], Iterator[tuple[str, Build]]]] = {
    "JPEG": jpegs,
    "PNG": pngs,
    "WebP": webps,
}


def random_image(chance: random.Random) -> bytes:
    """An image whose dimensions, scans, chunks and modes are drawn at the edge of the limits."""
    pixels = chance.choice((2_000_000, 13_000_000, 39_000_000))
    width = min(65_000, int(10 ** chance.uniform(2.8, 4.8)))
    height = max(1, min(65_000, pixels // width))
    match chance.randrange(4):
        case 0:
            sampling = [
                chance.choice((0x11, 0x22, 0x21, 0x12, 0x41, 0x44))
                for _ in range(chance.choice((1, 3, 4)))
            ]
            count = int(10 ** chance.uniform(0, 2.2))
            arithmetic = chance.random() < 0.5
            if chance.random() < 0.5:
                payload = scans(width, height, count, sampling, arithmetic)
            else:
                payload = refinements(width, height, count, arithmetic, chance.choice((0, 1, 1000)))
            if chance.random() < 0.5:
                payload = payload[:-2]
        case 1:
            colour = chance.choice((0, 2, 3, 4, 6))
            depth = 8 if colour == 3 else chance.choice((8, 16))
            transparent = {0: b"\0\0", 2: b"\0" * 6, 3: b"\0" * 256}.get(colour)
            use = transparent if chance.random() < 0.5 else None
            payload = png(
                width, height, depth, colour, interlaced=chance.random() < 0.5,
                filter_=chance.randrange(5), extra=chunk(b"tRNS", use) if use else b"",
            )  # fmt: skip
        case 2:
            payload = encode(
                photo(min(width, 16_000), min(height, 16_000), chance.choice(("RGB", "RGBA"))),
                "WEBP", lossless=chance.random() < 0.5, method=0,
            )  # fmt: skip
        case _:
            payload = _encoded_photo(
                min(width, 6000), min(height, 6000), chance.choice(("RGB", "L", "CMYK")), "JPEG",
                progressive=chance.random() < 0.7, subsampling=chance.randrange(3),
                quality=chance.randrange(5, 40),
            )  # fmt: skip
    data = bytearray(payload)
    for _ in range(chance.randrange(4)):  # change the structure, not the decoded data
        place = chance.randrange(min(len(data), 600))
        data[place] = chance.randrange(256)
    return bytes(data[:MAX_BYTES])
