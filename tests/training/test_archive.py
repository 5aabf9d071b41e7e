import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.training.conftest import striped_photo
from training import archive
from training.errors import DataError


def png() -> bytes:
    stream = io.BytesIO()
    striped_photo(0, 0).save(stream, "PNG")
    return stream.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(zipfile.ZipInfo(name), content)
    return path


def test_photos_are_unpacked_and_other_files_are_skipped(tmp_path: Path) -> None:
    members = {"dogs/train/a/1.png": png(), "dogs/README.txt": b"hi", "dogs/run.sh": b"rm"}
    count = archive.unpack(zipped(tmp_path / "a.zip", members), tmp_path / "out")
    assert count == 1
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [file.name for file in files] == ["1.png"]


@pytest.mark.parametrize(
    "name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"]
)
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    source = zipped(tmp_path / "a.zip", {"good/1.png": png(), name: png()})
    with pytest.raises(DataError, match="leads out of the folder"):
        archive.unpack(source, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "out").exists()
    assert not list(tmp_path.rglob("evil*"))


def test_links_are_refused_in_both_formats(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    entry = tarfile.TarInfo("link.png")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as opened_tar:
        opened_tar.addfile(entry)
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(DataError, match="is a link or device"):
            archive.unpack(tmp_path / name, tmp_path / "out")


def test_a_bomb_and_a_corrupt_archive_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/bomb.png", bytes(5_000_000))
    with pytest.raises(DataError, match="exceeds the limit of 1000000 bytes"):
        archive.unpack(tmp_path / "bomb.zip", tmp_path / "out", max_photo_bytes=1_000_000)
    whole = zipped(tmp_path / "b.zip", {"a/1.png": png()}).read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is corrupt"):
        archive.unpack(tmp_path / "torn.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_macos_adds_and_hidden_folders_are_skipped(tmp_path: Path) -> None:
    names = ("a/1.png", "__MACOSX/a/._1.png", "a/._1.png", ".ipynb_checkpoints/1.png")
    count = archive.unpack(
        zipped(tmp_path / "a.zip", dict.fromkeys(names, png())), tmp_path / "out"
    )
    assert count == 1
    assert not list((tmp_path / "out").rglob("._*"))


def test_names_as_macos_and_windows_write_them(tmp_path: Path) -> None:
    """macOS writes UTF-8 without the flag that says so, Windows may write backslashes."""
    names = {"dogs/Löwchen/1.png": png(), "dogs\\Pug\\2.png": png()}
    path = zipped(tmp_path / "a.zip", names)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(signature)
        content[start + flags + 1] &= ~0x08
    path.write_bytes(content)
    assert archive.unpack(path, tmp_path / "out") == 2
    assert (tmp_path / "out" / "dogs" / "Löwchen" / "1.png").is_file()
    assert (tmp_path / "out" / "dogs" / "Pug" / "2.png").is_file()


def test_an_archive_without_photos_is_refused(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a.zip", {"dogs/labels.csv": b"id,breed", "__MACOSX/1.png": png()})
    with pytest.raises(DataError, match=r"has no photos \(\.avif, "):
        archive.unpack(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_tar_archives(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, f"w:{compression}") as opened:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("dogs/a/1.png")
        entry.size, entry.pax_headers = len(png()), {"comment": "x" * 1000}
        opened.addfile(entry, io.BytesIO(png()))
    assert archive.unpack(path, tmp_path / "out") == 1
    assert (tmp_path / "out" / "dogs" / "a" / "1.png").read_bytes() == png()


def test_a_large_pax_header_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as opened:
        entry = tarfile.TarInfo("a/1.png")
        entry.pax_headers = {"comment": "x" * (archive.MAX_HEADER_BYTES + 1)}
        opened.addfile(entry)
    with pytest.raises(DataError, match="a header exceeds"):
        archive.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_a_chain_of_pax_headers_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    (tmp_path / "a.tar").write_bytes(header.tobuf() * 5000)
    with pytest.raises(DataError, match="is corrupt"):
        archive.unpack(tmp_path / "a.tar", tmp_path / "out")


def test_what_is_skipped_counts_too(tmp_path: Path) -> None:
    """A member of a terabyte that is no photo must not be decompressed."""
    entry = tarfile.TarInfo("a/readme.txt")
    entry.size = archive.MAX_TOTAL_BYTES + 1
    (tmp_path / "a.tar").write_bytes(entry.tobuf() + bytes(1024))
    with pytest.raises(DataError, match="holds more than 16 GiB"):
        archive.unpack(tmp_path / "a.tar", tmp_path / "out")
