"""Images built to cost as much as possible, as in `hostile_images`, in the newer formats."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from model_code import heif_items
from tests.hostile_images import MAX_BYTES, Build, dynamic_blocks, encode, photo, scans

pillow_heif.register_heif_opener(thumbnails=False)

Size = tuple[int, int]


def noisy_photo(width: int, height: int, noise: float) -> Image.Image:
    """A photo with as much noise as needed to fill the bytes that are allowed."""
    pixels = np.asarray(photo(width, height)).astype(np.int16)
    rng = np.random.default_rng(0)
    pixels += (rng.standard_normal((height, width, 1), np.float32) * noise).astype(np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _encoded(width: int, height: int, mode: str, format: str, **options: object) -> bytes:
    return encode(photo(width, height, mode), format, **options)


def _encoded_noise(width: int, height: int, noise: float, format: str, **options: object) -> bytes:
    return encode(noisy_photo(width, height, noise), format, **options)


# GIF


def gif(
    width: int,
    height: int,
    canvas: tuple[int, int] | None = None,
    offset: tuple[int, int] = (0, 0),
    data: bytes | None = None,
    extra: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A GIF of one frame, flat unless `data` has its codes."""
    screen = struct.pack("<HHBBB", *(canvas or (width, height)), 0xF7, 0, 0)
    frame = struct.pack("<HHHHB", *offset, width, height, 0x40 * interlaced)
    codes = _lzw_flat(width * height) if data is None else data
    blocks = b"".join(
        bytes([len(codes[at : at + 255])]) + codes[at : at + 255]
        for at in range(0, len(codes), 255)
    )
    palette = bytes(range(256)) * 3
    return b"GIF89a" + screen + palette + extra + b"," + frame + b"\x08" + blocks + b"\0;"


def _lzw_flat(pixels: int) -> bytes:
    """The LZW codes of a flat image: each stands for one pixel more than the one before it."""
    bits: list[np.ndarray] = []

    def put(code: int, width: int) -> None:
        bits.append(((code >> np.arange(width)) & 1).astype(np.uint8))

    put(256, 9)
    left, code, run, width = pixels, 0, 1, 9
    put(0, 9)
    left -= 1
    code = 258
    while left > 0:
        run += 1
        put(min(code, 4095), width)
        left -= run
        code += 1
        if code > 4095:
            put(256, 12)
            put(0, 9)
            left, code, run, width = left - 1, 258, 1, 9
        elif code == 1 << width:
            width += 1
    put(257, width)
    return np.packbits(np.concatenate(bits), bitorder="little").tobytes()


def gifs() -> Iterator[tuple[str, Build]]:
    for width, height in ((4000, 3000), (6320, 6320), (65_000, 610), (610, 65_000)):
        for interlaced in (False, True):
            tag = ", interlaced" if interlaced else ""
            build = partial(gif, width, height, interlaced=interlaced)
            yield f"GIF, flat, {width} x {height}{tag}", build
    yield "GIF, photo of 4 megapixels", partial(_encoded, 2300, 1750, "P", "GIF")
    yield "GIF, huge canvas", partial(gif, 64, 48, canvas=(65_535, 65_535))
    yield "GIF, huge frame on a small canvas", partial(gif, 65_535, 65_535, (64, 48), data=b"\0")
    yield "GIF, frame outside the canvas", partial(gif, 64, 48, (64, 48), (65_000, 65_000))
    clear_codes = np.packbits(np.tile([0] * 8 + [1], 4_400_000), bitorder="little").tobytes()
    yield "GIF, clear codes", partial(gif, 6320, 6320, data=clear_codes)
    literals = np.packbits(np.tile([0] * 8 + [1] + [0] * 9, 2_200_000), bitorder="little").tobytes()
    yield "GIF, clear codes and pixels", partial(gif, 6320, 6320, data=literals)
    for name, flood in (
        ("comments", b"!\xfe\x01a\0"), ("empty comments", b"!\xfe\0"),
        ("graphic controls", b"!\xf9\4\1\0\0\0\0"),
        ("one long comment", b"!\xfe" + b"\1a" * 2_000_000),
    ):  # fmt: skip
        extra = flood * (MAX_BYTES // 2 // len(flood) or 1)
        yield f"GIF, {name}", partial(gif, 64, 48, extra=extra)
    yield "GIF, 300 frames", _many_gif_frames
    yield "GIF, cut off", _gif_without_its_end


def _many_gif_frames() -> bytes:
    frames = [photo(160, 120).quantize(32).rotate(index) for index in range(300)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _gif_without_its_end() -> bytes:
    return gif(6320, 6320)[:60_000]


# BMP


def bmp(width: int, height: int, bits: int, compression: int = 0, data: bytes = b"") -> bytes:
    palette = bytes(4 << bits) if bits <= 8 else b""
    at = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + header + palette + data


def bmps() -> Iterator[tuple[str, Build]]:
    for width, height, bits in (
        (6320, 6320, 1), (65_000, 610, 1), (610, 65_000, 1), (3200, 3200, 4), (2240, 2240, 8),
        (1600, -1600, 16), (1300, 1300, 24), (1100, -1100, 32),
    ):  # fmt: skip
        data = bytes(-(-width * bits // 32) * 4 * abs(height))
        yield f"BMP, {bits} bits, {width} x {height}", partial(bmp, width, height, bits, data=data)
    for width, height in ((65_535, 65_535), (2**31 - 1, 2**31 - 1), (1, -(2**31)), (-5, 5), (0, 5)):
        for bits, compression in ((24, 0), (8, 1), (4, 2)):
            name = f"BMP of {width} x {height}, {bits} bits, compression {compression}"
            yield name, partial(bmp, width, height, bits, compression, bytes(1000))
    for width, height in ((2000, 2000), (65_000, 61), (61, 65_000), (4000, 3000)):
        for name, code in (
            ("ends of lines", b"\0\0"), ("runs of one pixel", b"\1\7"), ("runs", b"\xff\7"),
            ("absolute pixels", b"\0\3\1\2\3\0"), ("deltas", b"\0\2\1\0"),
            ("empty deltas", b"\0\2\0\0"), ("huge deltas", b"\0\2\xff\xff"), ("lines", b"\1\1\0\0"),
        ):  # fmt: skip
            for bits, compression in ((8, 1), (4, 2)):
                data = code * ((MAX_BYTES - 2000) // len(code))
                yield (
                    f"BMP, {bits} bits, {width} x {height}, {name}",
                    partial(bmp, width, height, bits, compression, data),
                )


# TIFF


def tiff(
    width: int, height: int, parts: list[bytes], compression: int = 1, bits: int = 8,
    samples: int = 3, photometric: int = 2, tile: int = 0, rows: int = 0, repeat: int = 1,
    predictor: int = 1, extra: tuple[tuple[int, int, int, int], ...] = (), following: int = 0,
    planar: int = 1,
) -> bytes:  # fmt: skip
    """A little-endian TIFF whose strips or tiles are `parts`, each `repeat` times."""
    data = b"".join(parts)
    starts = [8 + sum(map(len, parts[:index])) for index in range(len(parts))] * repeat
    sizes = [len(part) for part in parts] * repeat
    lists_at = 8 + len(data)
    tables = struct.pack(f"<{len(starts)}I", *starts) + struct.pack(f"<{len(sizes)}I", *sizes)
    bits_at = lists_at + len(tables)
    tables += struct.pack(f"<{samples}H", *[bits] * samples)
    count = len(starts)

    def pointer(values: list[int], at: int) -> int:
        return values[0] if count == 1 else at

    offsets, lengths = (324, 325) if tile else (273, 279)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height),
        (258, 3, samples, bits_at if samples > 2 else bits),
        (259, 3, 1, compression), (262, 3, 1, photometric), (277, 3, 1, samples),
        (284, 3, 1, planar), (317, 3, 1, predictor),
        (offsets, 4, count, pointer(starts, lists_at)),
        (lengths, 4, count, pointer(sizes, lists_at + 4 * count)),
        *([(322, 3, 1, tile), (323, 3, 1, tile)] if tile else [(278, 4, 1, rows or height)]),
        *extra,
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0" + struct.pack("<I", lists_at + len(tables))
    return head + data + tables + directory + struct.pack("<I", following)


def _deflated(raw_bytes: int) -> bytes:
    compressor = zlib.compressobj(1)
    return b"".join(
        compressor.compress(bytes(1_000_000)) for _ in range(raw_bytes // 1_000_000)
    ) + (compressor.compress(bytes(raw_bytes % 1_000_000)) + compressor.flush())


def _deflate_bomb(
    width: int, height: int, bits: int, samples: int, photometric: int, **options: int
) -> bytes:
    strip = _deflated(width * height * bits * samples // 8)
    return tiff(
        width,
        height,
        [strip],
        8,
        bits,
        samples,
        photometric,
        **options,  # type: ignore[arg-type]
    )


def tiffs() -> Iterator[tuple[str, Build]]:
    for compression in (
        "raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group3", "group4", "zstd",
        "lzma",
    ):  # fmt: skip
        for width, height in ((4000, 3000), (7300, 5470)):
            mode = "1" if compression.startswith("group") else "RGB"
            yield (
                f"TIFF, {compression}, {width} x {height}",
                partial(_encoded_tiff, width, height, mode, compression),
            )
    for bits, samples, photometric, name in (
        (8, 3, 2, "RGB"), (16, 3, 2, "16-bit RGB"), (16, 4, 2, "16-bit RGBA"), (8, 4, 5, "CMYK"),
        (8, 1, 1, "grey"), (16, 1, 1, "16-bit grey"), (1, 1, 0, "1-bit"), (8, 4, 2, "RGBA"),
        (32, 1, 1, "32-bit"),
    ):  # fmt: skip
        for width, height in (
            (4000, 3000),
            (4600, 3450),
            (6320, 6320),
            (65_000, 610),
            (610, 65_000),
        ):
            for predictor in (1, 2):
                yield (
                    f"TIFF, {name} deflated, {width} x {height}, predictor {predictor}",
                    partial(
                        _deflate_bomb, width, height, bits, samples, photometric,
                        predictor=predictor,
                    ),
                )  # fmt: skip
    part = _deflated(5_000_000)
    for count in (1, 2, 20, 1_000, 20_000, 20_001, 300_000):
        build = partial(tiff, 6000, 6000, [part], 8, repeat=count, rows=-(-6000 // count))
        yield f"TIFF, {count} overlapping strips", build
        small = [_deflated(3 * 600 * -(-6000 // count))] * min(count, 60_000)
        yield f"TIFF, {count} strips", partial(tiff, 600, 6000, small, 8, rows=-(-6000 // count))
        tiles = [_deflated(3 * 256)] * min(count, 60_000)
        yield f"TIFF, {count} tiles of 16", partial(tiff, 2000, 2000, tiles, 8, tile=16)
    yield "TIFF, tile of 60,000", partial(tiff, 100, 100, [_deflated(9_000_000)], 8, tile=60_000)
    yield "TIFF, tile of 8,000", partial(tiff, 100, 100, [_deflated(9_000_000)], 8, tile=8_000)
    for count in (5, 100, 5_000):
        strip = scans(4000, 3000, count, [0x11] * 3)
        yield f"TIFF, JPEG with {count} scans", partial(tiff, 4000, 3000, [strip], 7, photometric=6)
    yield "TIFF, loop of directories", partial(_looped_tiff, 1)
    yield "TIFF, 65,535 entries", partial(_looped_tiff, 65_000)
    yield "TIFF, directory outside the file", _tiff_outside
    yield "TIFF, planes", partial(_deflate_bomb, 4000, 3000, 8, 3, 2, planar=2)
    yield "TIFF, empty deflate blocks", _tiff_of_empty_blocks
    yield "TIFF, LZW clear codes", _tiff_of_clear_codes


def _encoded_tiff(width: int, height: int, mode: str, compression: str) -> bytes:
    image = photo(width, height, mode) if mode != "1" else Image.new("1", (width, height))
    if compression != "jpeg":  # flat enough to fit
        image = image.resize((64, 48)).resize((width, height), Image.Resampling.NEAREST)
    return encode(image, "TIFF", compression=compression)


def _looped_tiff(count: int) -> bytes:
    extra = tuple((40_000 + index % 100, 3, 1, 0) for index in range(count))
    payload = tiff(64, 64, [bytes(64 * 64 * 3)], extra=extra)
    (first,) = struct.unpack_from("<I", payload, 4)
    return payload[:-4] + struct.pack("<I", first)


def _tiff_outside() -> bytes:
    return b"II*\0" + struct.pack("<I", 2**32 - 10) + bytes(1000)


def _tiff_of_empty_blocks() -> bytes:
    return tiff(4000, 3000, [dynamic_blocks(5_000_000)], 8)


def _tiff_of_clear_codes() -> bytes:
    codes = np.packbits(np.tile([1] + [0] * 8, 4_500_000)).tobytes()
    return tiff(4000, 3000, [codes], 5)


# AVIF and HEIC


def coded(width: int, height: int, format: str, **options: object) -> tuple[bytes, bytes, bytes]:
    """Encode a photo. Return its data, its configuration box and its other properties."""
    payload = encode(photo(width, height), format, **options)
    items = heif_items.read(payload)
    item = items.items[items.primary]
    data = b"".join(payload[start:end] for start, end in item.extents)
    name = b"av1C" if format == "AVIF" else b"hvcC"
    [configuration] = [body for kind, body in items.properties_of(items.primary) if kind == name]
    return data, configuration, name


def heif(
    size: tuple[int, int], tiles: list[tuple[int, int]], coded_item: tuple[bytes, bytes, bytes],
    data_of_tiles: bool = True, extra: bytes = b"", extra_items: int = 0, extra_properties: int = 0,
    grid: bytes | None = None,
) -> bytes:  # fmt: skip
    """A HEIF with a grid of `tiles` columns and rows, or a single coded item without them."""
    data, configuration, name = coded_item
    box = heif_items.box
    codec = b"av01" if name == b"av1C" else b"hvc1"
    count = len(tiles)
    properties = [
        box(name, configuration),
        box(b"ispe", bytes(4), struct.pack(">II", *size)),
        *[box(b"ispe", bytes(4), struct.pack(">II", *tile)) for tile in sorted(set(tiles))],
        *[box(b"free", b"a")] * extra_properties,
    ]
    index_of = {tile: 3 + index for index, tile in enumerate(sorted(set(tiles)))}
    kinds = [(1, b"grid")] if tiles else [(1, codec)]
    kinds += [(2 + index, codec) for index in range(count)]
    kinds += [(2 + count + index, b"Exif") for index in range(extra_items)]
    entries = [
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", item, 0), kind, b"\0") for item, kind in kinds
    ]
    associations = struct.pack(">HB", 1, 2) + (b"\x82\x02" if tiles else b"\x81\x02")
    for index, tile in enumerate(tiles):
        associations += struct.pack(">HBBB", 2 + index, 2, 0x81, index_of[tile])
    columns = int(count**0.5) or 1
    rows = max(1, count // columns)
    last = (min(255, rows - 1), min(255, columns - 1))
    grid_data = grid or struct.pack(">BBBBHH", 0, 0, *last, *(min(side, 65_535) for side in size))
    references = b""
    if tiles:
        ids = struct.pack(f">HH{count}H", 1, count, *range(2, 2 + count))
        references = box(b"iref", bytes(4), box(b"dimg", ids))
    head = box(b"ftyp", b"avif" if codec == b"av01" else b"heic", bytes(4), b"mif1avifheic")
    length = len(data) * (count if data_of_tiles else 1)

    def meta(at: int) -> bytes:
        locations = struct.pack(">HHHII", 1, 0, 1, at, len(grid_data if tiles else data))
        tile_at = at + len(grid_data)
        for index in range(count):
            locations += struct.pack(">HHHII", 2 + index, 0, 1, tile_at, len(data))
            tile_at += len(data) if data_of_tiles else 0
        iloc = b"\0\0\0\0\x44\0" + struct.pack(">H", 1 + count) + locations
        return box(
            b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", bytes(4), b"\0\1"), box(b"iloc", iloc),
            box(b"iinf", bytes(4), struct.pack(">H", min(65_535, len(kinds))), *entries),
            references,
            box(b"iprp", box(b"ipco", *properties),
                box(b"ipma", bytes(4), struct.pack(">I", 1 + count), associations)), extra,
        )  # fmt: skip

    at = len(head) + len(meta(0)) + 8
    body = grid_data + data * (length // len(data)) if tiles else data
    return head + meta(at) + box(b"mdat", body)


def heics() -> Iterator[tuple[str, Build]]:
    fast: dict[str, Any] = {"enc_params": {"preset": "ultrafast"}}
    for width, height in ((4032, 3024), (5712, 4284), (6000, 5000), (8064, 6048), (16_000, 1500)):
        yield f"HEIC, {width} x {height}", partial(_encoded, width, height, "RGB", "HEIF", **fast)
    for noise, quality in ((8, 60), (12, 75), (20, 80)):
        yield (
            f"HEIC, 4032 x 3024, noise {noise}, quality {quality}",
            partial(_encoded_noise, 4032, 3024, noise, "HEIF", quality=quality, **fast),
        )
    yield (
        "HEIC, 5712 x 4284, noise",
        partial(_encoded_noise, 5712, 4284, 8, "HEIF", quality=55, **fast),
    )
    yield "HEIC, alpha, 4032 x 3024", partial(_encoded, 4032, 3024, "RGBA", "HEIF", **fast)
    yield (
        "HEIC, 4:4:4, 4032 x 3024",
        partial(_encoded, 4032, 3024, "RGB", "HEIF", chroma=444, **fast),
    )
    yield "HEIC, tiles of 512", partial(_encoded, 4032, 3024, "RGB", "HEIF", tile_size=512, **fast)
    yield from _containers("HEIF", "HEIC", fast)


def avifs() -> Iterator[tuple[str, Build]]:
    fast: dict[str, Any] = {"speed": 10}
    for width, height in ((4032, 3024), (5200, 4100), (5712, 4284), (8064, 6048), (16_000, 1300)):
        yield f"AVIF, {width} x {height}", partial(_encoded, width, height, "RGB", "AVIF", **fast)
    for noise, quality in ((8, 75), (20, 80)):
        yield (
            f"AVIF, 4032 x 3024, noise {noise}, quality {quality}",
            partial(_encoded_noise, 4032, 3024, noise, "AVIF", quality=quality, **fast),
        )
    yield "AVIF, alpha, 4032 x 3024", partial(_encoded, 4032, 3024, "RGBA", "AVIF", **fast)
    yield (
        "AVIF, 4:4:4, 4032 x 3024",
        partial(_encoded, 4032, 3024, "RGB", "AVIF", subsampling="4:4:4", **fast),
    )
    yield "AVIF, sequence of 60 frames", _avif_sequence
    yield from _containers("AVIF", "AVIF", fast)


def _avif_sequence() -> bytes:
    frames = [photo(640, 480).rotate(index) for index in range(60)]
    return encode(frames[0], "AVIF", save_all=True, append_images=frames[1:], speed=10)


def _containers(format: str, name: str, fast: dict[str, Any]) -> Iterator[tuple[str, Build]]:
    """Files whose boxes are hostile, around an intact image."""

    def build(width: int, height: int, size: Size, tiles: list[Size], **options: Any) -> bytes:
        return heif(size, tiles, coded(width, height, format, **fast), **options)

    for count in (4, 100, 400, 961, 3_000, 60_000):
        for shared in (False, True):
            side = int(count**0.5) * 128
            yield (
                f"{name}, {count} tiles of 128{', one data' if shared else ''}",
                partial(
                    build, 128, 128, (side, side), [(128, 128)] * count, data_of_tiles=not shared
                ),
            )
    yield f"{name}, small size of a large image", partial(build, 5600, 4200, (640, 480), [])
    yield f"{name}, middle size of a large image", partial(build, 8000, 6000, (4000, 3000), [])
    yield f"{name}, large size of a small image", partial(build, 640, 480, (60_000, 60_000), [])
    yield f"{name}, large size of a middle image", partial(build, 640, 480, (5000, 4000), [])
    yield (
        f"{name}, large grid of small tiles",
        partial(build, 128, 128, (640, 480), [(128, 128)] * 20,
                grid=b"\0\1\4\3" + struct.pack(">II", 60_000, 60_000)),
    )  # fmt: skip
    for flood in (b"free", b"uuid", b"ipro", b"grpl"):
        boxes = heif_items.box(flood) * 400_000
        build_flood = partial(build, 64, 64, (64, 64), [], extra=boxes)
        yield f"{name}, flood of {flood.decode()}", build_flood
    for count in (900, 5_000, 60_000):
        build_items = partial(build, 64, 64, (64, 64), [], extra_items=count)
        yield f"{name}, {count} more items", build_items
    for count in (900, 300_000):
        build_properties = partial(build, 64, 64, (64, 64), [], extra_properties=count)
        yield f"{name}, {count} more properties", build_properties
    yield f"{name}, cut off", partial(_cut_off, format, fast)
    yield f"{name}, damaged", partial(_damaged, format, fast)


def _cut_off(format: str, fast: dict[str, Any]) -> bytes:
    payload = _encoded(2000, 1500, "RGB", format, **fast)
    return payload[: len(payload) // 2]


def _damaged(format: str, fast: dict[str, Any]) -> bytes:
    payload = bytearray(_encoded(4000, 3000, "RGB", format, **fast))
    chance = random.Random(0)
    for _ in range(200):
        payload[chance.randrange(len(payload) // 2, len(payload))] = chance.randrange(256)
    return bytes(payload)


FAMILIES: dict[str, Callable[[], Iterator[tuple[str, Build]]]] = {
    "GIF": gifs,
    "BMP": bmps,
    "TIFF": tiffs,
    "HEIC": heics,
    "AVIF": avifs,
}


def random_image(chance: random.Random) -> bytes:
    """An image of a random family, with bytes of its structure changed."""
    width, height = (int(10 ** chance.uniform(1.5, 3.4)) for _ in range(2))
    format = chance.choice(("GIF", "BMP", "TIFF", "AVIF", "HEIF"))
    mode = chance.choice(("RGB", "L", "RGBA") if format != "BMP" else ("RGB", "L", "1"))
    options: dict[str, object] = {}
    if format == "TIFF":
        options["compression"] = chance.choice(
            ("packbits", "tiff_lzw", "tiff_adobe_deflate", "raw")
        )
    elif format == "HEIF":
        options["tile_size"] = chance.choice((0, 64, 256)) if mode == "RGB" else 0
    data = bytearray(_encoded(width, height, mode, format, **options))
    for _ in range(chance.randrange(12)):
        place = chance.randrange(min(len(data), 900))
        if format == "TIFF" and chance.random() < 0.8:  # its directory is at the end
            place = len(data) - 1 - place
        data[place] = chance.choice((0, 1, 255, chance.randrange(256)))
    return bytes(data[:MAX_BYTES])
