"""Memory that loading a model leaves behind, given back: the photos can use it better.

For Linux with glibc, which the endpoint's container has; elsewhere nothing happens.
"""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

_ARENA_MAX = -8  # M_ARENA_MAX of mallopt(3)
_DONTNEED = 4  # MADV_DONTNEED of madvise(2)


def share_one_arena() -> None:
    """Let all threads allocate in one place: each keeps freed memory of its own otherwise."""
    _call("mallopt", _ARENA_MAX, 1)


def give_back(mapped: Path) -> None:
    """Return what is free to the system, and the pages of the file `mapped`, of which a compiled
    model has its own copy: whoever still asks for one has it read again."""
    _call("malloc_trim", 0)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    for line in maps.read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == str(mapped.resolve()) and fields[1].startswith("r--"):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            _call("madvise", ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


def _call(name: str, *arguments: object) -> None:
    function: Callable[..., int] | None = None
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)  # musl has neither of the first two
    if function is not None:
        function(*arguments)
