"""OpenVINO, as `ov`, and workarounds for its use of memory and signals.

It imports its model converter if that is installed, which costs 50 ms and 5 MB. Serving does not
need it.
"""

import ctypes
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_CONVERTER = "openvino.tools.ovc"

sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

if sys.modules[_CONVERTER] is None:
    del sys.modules[_CONVERTER]  # so that an export in the same process can import it

__all__ = ["CORE", "compile_model", "ov", "settle_memory"]

CORE = ov.Core()
"""The one Core of this process, which is never freed.

OpenVINO's CPU plugin gives the thread that loads it a stack for signals, and frees it with the last
model. If another thread does that, the next signal, such as SIGTERM, ends the process with a
segmentation fault (2026.4.1).
"""

_LIBRARIES = Path(ov.__file__).resolve().parent

# Parameters of glibc's mallopt, from malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_BUFFER_BYTES = 32 * 1024 * 1024


def compile_model(graph: ov.Model, performance_hint: str, **options: Any) -> ov.CompiledModel:
    """Compile `graph` for this CPU, with OpenVINO's properties `options`.

    What is not int8 is float32, so that all CPUs compute the same. By default it is bf16 on those
    that have it: an inference takes 1 % less time, but logits have 8 significant bits.
    """
    options |= {"PERFORMANCE_HINT": performance_hint, "INFERENCE_PRECISION_HINT": "f32"}
    return CORE.compile_model(graph, "CPU", options)


def settle_memory(weights: Path) -> None:
    """Return to the system what loading a model needed, then keep what large images need.

    OpenVINO keeps the weights mapped, 7 MB, although the compiled models have copies, and 30 MB of
    code, most of which only compiles. By default malloc gets new pages for each large body and
    image from the kernel, which clears them: 5 ms of CPU time for a JPEG of 2 MB (glibc).
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    for mapped in _mappings():
        if mapped.file == weights.resolve() and mapped.permissions.startswith("r--"):
            mapped.release()
        if mapped.permissions == "r-xp" and mapped.file.is_relative_to(_LIBRARIES):
            mapped.release()
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.malloc_trim(0)
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            library.mallopt(parameter, _BUFFER_BYTES)


class _Mapping(NamedTuple):
    """A mapped file, or a part of one."""

    start: int
    end: int
    permissions: str
    file: Path

    def release(self) -> None:
        """Remove pages that are only read from resident memory. They can still be read."""
        length = ctypes.c_size_t(self.end - self.start)
        ctypes.CDLL(None).madvise(ctypes.c_void_p(self.start), length, mmap.MADV_DONTNEED)


def _mappings() -> Iterator[_Mapping]:
    """Yield the mapped files of this process (Linux)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    for line in maps.read_text().splitlines():
        span, permissions, _, _, inode, *name = line.split(maxsplit=5)
        if name and inode != "0":
            start, end = (int(part, 16) for part in span.split("-"))
            yield _Mapping(start, end, permissions, Path(name[0]))
