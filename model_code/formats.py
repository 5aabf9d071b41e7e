"""Image formats by content: those that are decoded, and the names of those that are refused."""

import re

from model_code.errors import NotAnImage

NAMES = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WEBP": "WebP",
    "AVIF": "AVIF",
    "HEIC": "HEIC",
    "GIF": "GIF",
    "BMP": "BMP",
    "TIFF": "TIFF",
}
"""The formats of responses, and their names in messages."""
ADVICE = "send JPEG, PNG, WebP, AVIF, HEIC or GIF"
"""BMP and TIFF are decoded too, but are not worth converting to."""
HEIF_BRANDS = frozenset(
    (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
    + (b"mif1", b"mif2", b"msf1", b"miaf")
)
"""ISO/IEC 23008-12, annexes B to H, and the AVIF specification, section 6."""

RAW = "a camera RAW file"
_VIDEO = "a video"
_BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
_MAX_BRANDS = 64
# Position, bytes and name. Several RAW formats are a TIFF, or nearly one.
_REFUSED = (
    (0, b"\xff\x0a", "a JPEG XL"),
    (4, b"JXL \r\n\x87\n", "a JPEG XL"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (4, b"jP  \r\n\x87\n", "a JPEG 2000"),
    (0, b"II\xbc", "a JPEG XR"),
    (0, b"%PDF-", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\0\0\2\0", "an icon"),
    (0, b"icns", "an icon"),
    (0, b"qoif", "a QOI"),
    (0, b"DDS ", "a DDS"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (0, b"#?RADIANCE", "a Radiance HDR file"),
    (8, b"CR\x02\0", RAW),  # Canon
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIRO", RAW),  # Olympus
    (0, b"IIRS", RAW),
    (0, b"MMOR", RAW),
    (0, b"IIU\0", RAW),  # Panasonic
    (0, b"FOVb", RAW),  # Sigma
    (0, b"\0MRM", RAW),  # Minolta
    (0, b"\x1aE\xdf\xa3", _VIDEO),  # WebM and Matroska
    (8, b"AVI LIST", _VIDEO),
    (0, b"\0\0\1\xba", _VIDEO),  # MPEG
    (4, b"moov", _VIDEO),  # QuickTime may have no file type
    (4, b"mdat", _VIDEO),
    (4, b"wide", _VIDEO),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
)
# What may come before the root element of an XML or HTML document.
_PROLOG = re.compile(
    rb"\s+|<\?.*?\?>|<!--.*?-->|<!doctype\s(?!\s*html)[^>\[]*(?:\[.*?\]\s*)?>",
    re.DOTALL | re.IGNORECASE,
)
_SVG = re.compile(rb"<(?:[\w.-]+:)?svg[\s/>]")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)[\s/>]", re.IGNORECASE)
_TEXT_BYTES = 65_536
"""An illustration program may write a long comment in front of the root element."""


def identify(payload: bytes) -> str:
    """Return the format by the first bytes: one of `NAMES`, or HEIF for AVIF and HEIC.

    Raises `NotAnImage` with the name of the format if it is a known one.
    """
    if name := _refused(payload):
        raise refusal(name)
    for format, start in (
        ("JPEG", b"\xff\xd8\xff"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
        ("GIF", b"GIF87a"),
        ("GIF", b"GIF89a"),
        ("TIFF", b"II*\0"),
        ("TIFF", b"MM\0*"),
        ("TIFF", b"II+\0"),  # BigTIFF
        ("TIFF", b"MM\0+"),
    ):
        if payload.startswith(start):
            return format
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        return "WEBP"
    if payload[:2] == b"BM" and int.from_bytes(payload[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    if payload[4:8] == b"ftyp":
        return "HEIF"
    raise NotAnImage(f"The body is not an image of a supported format; {ADVICE}.")


def refusal(name: str) -> NotAnImage:
    """Return the error for a format that is not supported, such as "a PDF"."""
    return NotAnImage(f"This is {name}; {ADVICE}.")


def _refused(payload: bytes) -> str | None:
    for position, signature, name in _REFUSED:
        if payload.startswith(signature, position):
            return name
    if payload[4:8] == b"ftyp":
        brands = _brands(payload)
        if b"crx " in brands:
            return RAW
        return _VIDEO if HEIF_BRANDS.isdisjoint(brands) else None
    text = _text(payload)
    if _SVG.match(text):
        return "an SVG"
    return "a web page" if _HTML.match(text) else None


def _brands(payload: bytes) -> list[bytes]:
    """Return the major and the compatible brands of an ISO base media file."""
    end = min(int.from_bytes(payload[:4]), 16 + 4 * _MAX_BRANDS)
    return [payload[8:12]] + [payload[start : start + 4] for start in range(16, end, 4)]


def _text(payload: bytes) -> bytes:
    """Return the start of a text from the first element that is not part of the prolog."""
    text = payload[:_TEXT_BYTES]
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = text.decode("utf-16", "replace").encode()
    text = text.removeprefix(b"\xef\xbb\xbf")
    position = 0
    while match := _PROLOG.match(text, position):
        position = match.end()
    return text[position : position + 64]
