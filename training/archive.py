"""Unpack an archive of photos that a stranger made."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from training.errors import DataError
from training.photos import SUFFIXES

MAX_TOTAL_BYTES = 16 << 30
MAX_PHOTO_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    regular: bool
    stream: IO[bytes] | None


def unpack(archive: Path, folder: Path) -> int:
    """Unpack the photos in `archive` (zip or tar) into the new `folder` and return their number.

    Everything else in it is left out, and nothing is trusted: `DataError` is raised, and `folder`
    is not made, for a name that leads out of it, a link, a photo or a sum beyond the limits, or a
    damaged archive.
    """
    aside = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    photos, left_bytes = 0, MAX_TOTAL_BYTES
    try:
        for member in tqdm(
            _members(archive), desc="unpack", unit="file", leave=False, disable=None
        ):
            target = _inside(member, aside, archive)
            if member.stream is None or target.suffix.lower() not in SUFFIXES:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left_bytes -= _copy(member.stream, target, min(left_bytes, MAX_PHOTO_BYTES), archive)
            photos += 1
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise DataError(f"{archive} is damaged: {error}") from None
    except DataError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    aside.replace(folder)
    return photos


def _members(archive: Path) -> Iterator[_Member]:
    """What is in the archive; `stream` is None for folders and for what is no regular file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where no Unix made the archive
                regular = info.is_dir() or kind in (0, stat.S_IFREG, stat.S_IFDIR)
                if info.is_dir() or not regular:
                    yield _Member(info.filename, regular, None)
                else:
                    with opened.open(info) as stream:
                        yield _Member(info.filename, True, stream)
        return
    with tarfile.open(archive) as opened_tar:
        for entry in opened_tar:
            content = opened_tar.extractfile(entry) if entry.isreg() else None
            yield _Member(entry.name, entry.isreg() or entry.isdir(), content)


def _inside(member: _Member, folder: Path, archive: Path) -> Path:
    """Where `member` belongs within `folder`. Raises `DataError` for one that belongs nowhere."""
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in member.name or "\0" in member.name:
        raise DataError(f"{archive}: {member.name!r} leads out of the archive; nothing unpacked")
    if not member.regular:
        raise DataError(f"{archive}: {member.name!r} is a link or a device; nothing unpacked")
    return folder.joinpath(*name.parts)


def _copy(source: IO[bytes], target: Path, limit_bytes: int, archive: Path) -> int:
    """Copy a member, counting what really comes: an archive may lie about sizes."""
    written = 0
    with target.open("wb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > limit_bytes:
                raise DataError(f"{archive}: {target.name} is larger than a photo may be")
            stream.write(chunk)
    return written
