"""The photos that a load test sends: files of the user's, or the project's sample."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cli.errors import SettingsError

SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "samples" / "dalmatian.png"
SIDE_PX = 500
"""Longest side of the sample as it is sent: about what a photo on a web page has."""
TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Photo:
    """The body of one request, and its media type."""

    body: bytes
    media_type: str


def read(paths: Sequence[Path]) -> list[Photo]:
    """The photos at `paths`, folders searched through; without any, the sample as a JPEG.

    Raises `SettingsError` where there is none, or a file is of a type that the model refuses.
    """
    if not paths:
        return [_sample()]
    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    if not files:
        raise SettingsError(f"no JPEG, PNG or WebP in {', '.join(map(str, paths))}")
    return [_photo(file) for file in files]


def _inside(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in TYPES)


def _photo(file: Path) -> Photo:
    if file.suffix.lower() not in TYPES:
        raise SettingsError(f"{file} is no JPEG, PNG or WebP by its name")
    try:
        return Photo(file.read_bytes(), TYPES[file.suffix.lower()])
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None


def _sample() -> Photo:
    stream = io.BytesIO()
    with Image.open(SAMPLE) as image:
        image.thumbnail((SIDE_PX, SIDE_PX))
        image.convert("RGB").save(stream, "JPEG", quality=85)
    return Photo(stream.getvalue(), "image/jpeg")
