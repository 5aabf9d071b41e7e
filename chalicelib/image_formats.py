"""The supported image formats, recognised by their first bytes."""

from chalicelib.problems import NotAnImage

MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")


def media_type(payload: bytes) -> str:
    """Return the media type of an image. Raise `NotAnImage` if it is not one of `MEDIA_TYPES`."""
    if payload.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if payload.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        return "image/webp"
    raise NotAnImage("The content is not a JPEG, PNG or WebP image.")
