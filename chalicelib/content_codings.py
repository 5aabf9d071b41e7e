"""Content codings of responses: bounded gzip and deflate."""

import zlib
from collections.abc import Sequence

from chalicelib.problems import ImageTooLarge, ImageUnreachable

_GZIP = frozenset({"gzip", "x-gzip"})
_UNSUPPORTED = frozenset({"br", "compress", "x-compress", "zstd", "dcb", "dcz"})
"""The rest of IANA's registry that changes the bytes. Unknown names are treated as identity."""
_MAX_CODINGS = 2
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def codings_of(header: str) -> Sequence[str]:
    """Return the codings of a `Content-Encoding` header, in the order they were applied.

    Raises `ImageUnreachable` if one is not supported.
    """
    names = [name.strip().lower() for name in header.split(",")]
    for name in names:
        if name in _UNSUPPORTED:
            raise ImageUnreachable(
                f"The image's host compressed the response with {name}, which was not requested. "
                "Supported: gzip, deflate."
            )
    codings = [name for name in names if name in _GZIP or name == "deflate"]
    if len(codings) > _MAX_CODINGS:
        raise ImageUnreachable("The image's host compressed the response more than twice.")
    return codings


def decode(body: bytes, codings: Sequence[str], max_bytes: int) -> bytes:
    """Undo `codings`. Raises `ImageTooLarge` as soon as a result exceeds `max_bytes`."""
    for coding in reversed(codings):
        try:
            body = _inflate(body, coding, max_bytes)
        except (zlib.error, EOFError):
            raise ImageUnreachable(
                f"The image's host sent a response that is not valid {coding}."
            ) from None
    return body


def _inflate(body: bytes, coding: str, max_bytes: int) -> bytes:
    """Inflate one gzip member, or a deflate stream, which some hosts send without a header."""
    if coding in _GZIP:
        window = _GZIP_WINDOW
    else:
        window = zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS
    stream = zlib.decompressobj(window)
    inflated = stream.decompress(body, max_bytes + 1)
    if len(inflated) > max_bytes:
        raise ImageTooLarge.in_bytes(max_bytes)
    if not stream.eof:
        raise EOFError
    return inflated


def _has_zlib_header(body: bytes) -> bool:
    """Return whether `body` starts as RFC 1950 requires."""
    return body[:1] != b"" and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
