"""Remove from a folder of installed packages what the server never opens.

The container's build runs this file by itself: `python slim_packages.py /opt/venv`.
"""

import platform
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

UNUSED = (
    # OpenVINO: plugins for other devices (it opens the one for batches), and frontends for models
    # that are not in its own format.
    "openvino/libs/libopenvino_auto_plugin.so",
    "openvino/libs/libopenvino_hetero_plugin.so",
    "openvino/libs/libopenvino_gguf_frontend.so*",
    "openvino/libs/libopenvino_jax_frontend.so*",
    "openvino/libs/libopenvino_onnx_frontend.so*",
    "openvino/libs/libopenvino_paddle_frontend.so*",
    "openvino/libs/libopenvino_pytorch_frontend.so*",
    "openvino/libs/libopenvino_tensorflow_frontend.so*",
    "openvino/libs/libopenvino_tensorflow_lite_frontend.so*",
    "openvino/frontend/*/*.so",
    # Its C interface, headers and model converter.
    "openvino/libs/libopenvino_c.so*",
    "openvino/include",
    "openvino/cmake",
    "openvino/tools",
    # numpy: what it imports on first use, tests of its SIMD code, compiling Fortran and C.
    "numpy/fft",
    "numpy/ma",
    "numpy/polynomial",
    "numpy/random",
    "numpy/_core/_simd.*.so",
    "numpy/_core/include",
    "numpy/_core/lib/libnpymath.a",
    "numpy/f2py",
    # Pillow: text and colour profiles, with the libraries that only these need.
    "PIL/_imagingcms.*.so",
    "PIL/_imagingft.*.so",
    "pillow.libs/libbrotli*",
    "pillow.libs/libfreetype-*",
    "pillow.libs/libharfbuzz-*",
    "pillow.libs/liblcms2-*",
    "pillow.libs/libpng16-*",
    # Tests, types and sources of extension modules.
    "**/tests",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
)
"""Patterns in site-packages. Each must match, so that an upgrade that renames a file is noticed.

`tests/ops/endpoint/test_container.py` checks that the server opens none of these files.
"""
UNUSED_ON = {
    "x86_64": (
        "openvino/libs/libopenvino_intel_gpu_plugin.so",
        "openvino/libs/libopenvino_intel_npu_plugin.so",
        "openvino/libs/cache.json",  # kernels of GPUs
    ),
    "aarch64": (),
}
"""Patterns by machine: on Arm64, OpenVINO has no plugins for Intel's GPUs."""

_ELF64 = b"\x7fELF\x02\x01"
_SEGMENT_TABLE = struct.Struct("<32xQ14xHH")  # its position, bytes per entry, entries
_SECTION_TABLE = 40, 58  # positions of its address, and of the three fields that describe it


def unused(packages: Path, machine: str) -> Iterator[Path]:
    """Yield the files and folders to remove. Raises LookupError if a pattern matches nothing."""
    for pattern in (*UNUSED, *UNUSED_ON[machine]):
        matches = list(packages.glob(pattern))
        if not matches:
            raise LookupError(
                f"{pattern} in slim_packages.py matches no file in {packages}: remove the pattern "
                "or correct it."
            )
        yield from matches


def remove(packages: Path, machine: str) -> None:
    """Remove the unused files. Raises LookupError, without a change, if a pattern is outdated."""
    for path in list(unused(packages, machine)):
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink(missing_ok=True)  # it may have been in a folder that is removed


def strip(library: Path) -> None:
    """Cut symbols for debuggers off an ELF file: what is behind its last loaded segment.

    `strip` also moves segments, and breaks libraries that patchelf has changed.
    https://github.com/pypa/auditwheel/issues/716
    """
    with library.open("r+b") as file:
        header = file.read(64)
        if not header.startswith(_ELF64):
            return
        position, entry_bytes, entries = _SEGMENT_TABLE.unpack_from(header)
        file.seek(position)
        table = file.read(entry_bytes * entries)
        # of each segment its position in the file and its bytes there
        segments = [struct.unpack_from("<8xQ16xQ", table, i * entry_bytes) for i in range(entries)]
        segments.append((position, len(table)))
        file.truncate(max(start + size for start, size in segments))
        for position, length in zip(_SECTION_TABLE, (8, 6), strict=True):
            file.seek(position)
            file.write(bytes(length))


def main(environment: Path) -> str:
    """Slim the packages of a virtual environment. Return an error, or an empty string."""
    [packages] = environment.glob("lib/python3*/site-packages")
    try:
        remove(packages, platform.machine())
    except LookupError as error:
        return str(error)
    for library in packages.rglob("*.so*"):
        strip(library)
    return ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) or 0)
