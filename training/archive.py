"""Unpack the photos of an untrusted archive."""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from training import folder_layout
from training.errors import DataError
from training.folder_layout import SUFFIXES

MAX_TOTAL_BYTES = 16 << 30
MAX_PHOTO_BYTES = 64 << 20
MAX_MEMBERS = 1_000_000
MAX_HEADER_BYTES = 2 << 20
"""Of a tar member. Extended (pax) headers are read at once, so their size is memory."""
_CHUNK_BYTES = 1 << 20
_OPEN: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open
}  # fmt: skip
"""How to open a compressed tar, by its first two bytes."""

Member = tuple[str, bool, IO[bytes] | None]
"""Name, whether it is a regular file or a folder, and the content of a file."""


def unpack(archive: Path, folder: Path, max_photo_bytes: int = MAX_PHOTO_BYTES) -> int:
    """Unpack the photos of `archive` (zip or tar) into the new `folder` and return their number.

    CSV files are unpacked too, because they may be the index. Other files are skipped, and so are
    `__MACOSX` and hidden folders. Raises DataError, without creating `folder`, if a name leads out
    of it, a member is a link or exceeds the limits, the archive is corrupt or has no photos.
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
            hidden = folder_layout.is_hidden(target.relative_to(temporary))
            suffix = target.suffix.lower()
            if stream is None or hidden or suffix not in {*SUFFIXES, ".csv"}:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            left_bytes -= _copy(stream, target, min(left_bytes, max_photo_bytes), archive)
            photos += suffix != ".csv"
        if not photos:
            raise DataError(f"{archive} has no photos ({', '.join(sorted(SUFFIXES))}).")
        temporary.replace(folder)
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError,
        RuntimeError, ValueError,
    ) as error:  # fmt: skip
        raise DataError(f"{archive} is corrupt: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return photos


def _members(archive: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            _check_count(len(opened.infolist()), archive)
            for info in opened.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 unless made on Unix
                regular = info.is_dir() or kind in (0, stat.S_IFREG, stat.S_IFDIR)
                if info.is_dir() or not regular:
                    yield _name(info), regular, None
                else:
                    with opened.open(info) as stream:
                        yield _name(info), True, stream
        return
    with _decompress(archive) as plain, tarfile.open(fileobj=_BoundedReads(plain)) as opened_tar:
        size_bytes = 0
        for number, entry in enumerate(opened_tar):
            _check_count(number, archive)
            size_bytes += entry.size  # what is skipped is decompressed, too
            if size_bytes > MAX_TOTAL_BYTES:
                raise DataError(f"{archive} holds more than {MAX_TOTAL_BYTES >> 30} GiB.")
            content = opened_tar.extractfile(entry) if entry.isreg() else None
            yield entry.name, entry.isreg() or entry.isdir(), content


def _name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member. macOS writes UTF-8 without the flag (bit 11) that says so."""
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode()
    return info.filename


def _check_count(members: int, archive: Path) -> None:
    if members > MAX_MEMBERS:
        raise DataError(f"{archive} has more than {MAX_MEMBERS} members.")


def _decompress(archive: Path) -> IO[bytes]:
    with archive.open("rb") as stream:
        start = stream.read(2)
    plain: IO[bytes] = _OPEN.get(start, open)(archive, "rb")
    return plain


class _BoundedReads(io.RawIOBase):
    """A stream that refuses to read more than `MAX_HEADER_BYTES` at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header exceeds {MAX_HEADER_BYTES} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, origin: int = 0, /) -> int:
        return self._stream.seek(offset, origin)

    def tell(self) -> int:
        return self._stream.tell()


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
