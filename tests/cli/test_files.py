"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from cli.files import write_atomically


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in ("old", "új", b"\xff"):
        write_atomically(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    target = tmp_path / "folder"
    (target / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_atomically(target, "new")
    assert path.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "folder"]
