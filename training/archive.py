"""Unpack the photos of an untrusted archive."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from training.errors import DataError
from training.photos import SUFFIXES

MAX_TOTAL_BYTES = 16 << 30
MAX_PHOTO_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20


Member = tuple[str, bool, IO[bytes] | None]
"""Name, whether it is a regular file or a folder, and the content of a file."""


def unpack(archive: Path, folder: Path, max_photo_bytes: int = MAX_PHOTO_BYTES) -> int:
    """Unpack the photos of `archive` (zip or tar) into the new `folder` and return their number.

    Other files are skipped. Raises DataError, without creating `folder`, if a name leads out of
    it, a member is a link or exceeds the limits, or the archive is corrupt.
    """
    temporary = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    photos, left_bytes = 0, MAX_TOTAL_BYTES
    try:
        members = _members(archive)
        for name, regular, stream in tqdm(
            members, desc="unpack", unit="file", leave=False, disable=None
        ):
            target = _target(name, regular, temporary, archive)
            if stream is None or target.suffix.lower() not in SUFFIXES:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left_bytes -= _copy(stream, target, min(left_bytes, max_photo_bytes), archive)
            photos += 1
        temporary.replace(folder)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        raise DataError(f"{archive} is corrupt: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return photos


def _members(archive: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 unless made on Unix
                regular = info.is_dir() or kind in (0, stat.S_IFREG, stat.S_IFDIR)
                if info.is_dir() or not regular:
                    yield info.filename, regular, None
                else:
                    with opened.open(info) as stream:
                        yield info.filename, True, stream
        return
    with tarfile.open(archive) as opened_tar:
        for entry in opened_tar:
            content = opened_tar.extractfile(entry) if entry.isreg() else None
            yield entry.name, entry.isreg() or entry.isdir(), content


def _target(name: str, regular: bool, folder: Path, archive: Path) -> Path:
    """Return the path of a member inside `folder`. Raises DataError if it is not inside."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DataError(f"{archive}: {name!r} leads out of the folder. Nothing was unpacked.")
    if not regular:
        raise DataError(f"{archive}: {name!r} is a link or device. Nothing was unpacked.")
    return folder.joinpath(*path.parts)


def _copy(source: IO[bytes], target: Path, limit_bytes: int, archive: Path) -> int:
    """Copy a member and count its bytes: the sizes in an archive cannot be trusted."""
    written = 0
    with target.open("wb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > limit_bytes:
                raise DataError(
                    f"{archive}: {target.name} exceeds the limit of {limit_bytes} bytes."
                )
            stream.write(chunk)
    return written
