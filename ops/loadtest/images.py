"""The images that a load test sends: the user's files, or the project's sample."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from cli.errors import SettingsError

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "samples" / "dalmatian.png"
SAMPLE_SIZE_PX = 500
"""Longest side of the sample as it is sent: common on web pages."""
JPEG = "image/jpeg"
MEDIA_TYPES = {
    ".jpg": JPEG, ".jpeg": JPEG, ".png": "image/png", ".webp": "image/webp",
    ".avif": "image/avif", ".heic": "image/heic", ".heif": "image/heif", ".gif": "image/gif",
    ".bmp": "image/bmp", ".tif": "image/tiff", ".tiff": "image/tiff",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Image:
    """The body of a request and its media type."""

    body: bytes
    media_type: str


def read(paths: Sequence[Path]) -> list[Image]:
    """Read files, and folders recursively. Without paths, return the sample as a JPEG.

    Raise SettingsError if there is no image or a file is of another type.
    """
    if not paths:
        return [_sample()]
    files: list[Path] = []
    for path in paths:
        images = (file for file in path.rglob("*") if file.suffix.lower() in MEDIA_TYPES)
        files += sorted(images) if path.is_dir() else [path]
    if not files:
        raise SettingsError(f"There is no image in {', '.join(map(str, paths))}.")
    return [_read_file(file) for file in files]


def _read_file(file: Path) -> Image:
    media_type = MEDIA_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise SettingsError(f"{file} must be one of {', '.join(MEDIA_TYPES)}.")
    try:
        return Image(file.read_bytes(), media_type)
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}.") from None


def _sample() -> Image:
    stream = io.BytesIO()
    with PIL.Image.open(SAMPLE) as image:
        image.thumbnail((SAMPLE_SIZE_PX, SAMPLE_SIZE_PX))
        image.convert("RGB").save(stream, "JPEG", quality=85)
    return Image(stream.getvalue(), JPEG)
