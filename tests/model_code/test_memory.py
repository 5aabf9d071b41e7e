"""Memory goes back to the system, and what was mapped can still be read."""

import mmap
from pathlib import Path

import pytest

from model_code import memory


def resident_kb(path: Path) -> int:
    """How much of the file `path` this process has in memory (Linux: proc(5))."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.endswith(str(path))]
    assert starts
    sizes = [
        next(line for line in lines[start:] if line.startswith("Rss:")).split()[1]
        for start in starts
    ]
    return sum(map(int, sizes))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_pages_of_a_mapped_file_are_given_back_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"w" * 2**20)
    memory.share_one_arena()
    with path.open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    assert mapped[:].count(b"w") == 2**20
    assert resident_kb(path) == 1024
    memory.give_back(path)
    assert resident_kb(path) == 0
    assert mapped[:].count(b"w") == 2**20


def test_a_file_that_is_not_mapped_is_no_matter(tmp_path: Path) -> None:
    memory.give_back(tmp_path / "nothing")
