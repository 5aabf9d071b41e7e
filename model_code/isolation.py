"""Decode an image in a process of its own, with limits that the kernel enforces.

For codecs whose cost the structure of a file does not show: a lossless WebP of one megapixel and
300 KB can ask for 65,536 groups of Huffman tables, which are 380 MB. And for codecs with a history
of memory errors, which must not crash the server: TIFF, AVIF and HEIC.
"""

import signal
import struct
import subprocess
import sys
from pathlib import Path

from PIL import Image

from model_code import decoding, formats
from model_code.artifact import InputSpec
from model_code.errors import ImageTooLarge, NotAnImage
from model_code.structure import Structure

MAX_DECODE_BYTES = 232_000_000
"""Private memory for decoding: `structure.MAX_DECODE_BYTES` plus Pillow's overhead."""
MAX_CPU_S = 1.0
MAX_LIGHT_DECODE_BYTES = 64_000_000
"""Of an image that is not heavy, so that several may be decoded at a time."""
MAX_LIGHT_CPU_S = 0.5
MAX_WALL_S = 10.0
"""On a machine that is busy with other requests."""

_PROJECT = Path(__file__).resolve().parents[1]
_DAMAGED = 3
_SIZE = struct.Struct("<II")  # width and height, in front of the pixels


def decode(structure: Structure, spec: InputSpec) -> Image.Image:
    """Return what `decoding.decode` returns.

    Raises `NotAnImage` if the image is damaged, `ImageTooLarge` if it exceeds a limit.
    """
    name = formats.NAMES[structure.format]
    limits = (
        (MAX_DECODE_BYTES, MAX_CPU_S)
        if structure.heavy
        else (MAX_LIGHT_DECODE_BYTES, MAX_LIGHT_CPU_S)
    )
    options = (structure.format, spec.size_px, spec.crop, *limits)
    try:
        result = subprocess.run(  # noqa: S603 (no part of the command is the client's)
            [sys.executable, "-m", __name__, *map(str, options)],
            input=structure.payload,
            capture_output=True,
            cwd=_PROJECT,
            timeout=MAX_WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImageTooLarge(f"Decoding the {name} takes too long.") from None
    if result.returncode == 0:
        width, height = _SIZE.unpack_from(result.stdout)
        return Image.frombuffer("RGB", (width, height), result.stdout[_SIZE.size :])
    if result.returncode == _DAMAGED:
        raise NotAnImage(f"The {name} is damaged.")
    raise ImageTooLarge(
        f"Decoding the {name} takes more than {limits[0] // 1_000_000} MB or {limits[1]:g} s."
    )


def _main(format: str, size_px: str, crop: str, max_bytes: str, max_cpu_s: str) -> int:
    import resource

    decoding.register(format)
    limit = _data_bytes() + int(max_bytes)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    signal.setitimer(signal.ITIMER_PROF, float(max_cpu_s))  # SIGPROF ends the process
    spec = InputSpec(int(size_px), float(crop), (0, 0, 0), (1, 1, 1))
    payload = sys.stdin.buffer.read()
    try:
        image = decoding.decode(payload, format, spec)
    except MemoryError:
        return 1
    except RuntimeError as error:  # of libheif and libavif
        return 1 if "memory" in str(error).lower() else _DAMAGED
    except decoding.DECODER_ERRORS:
        return _DAMAGED
    sys.stdout.buffer.write(_SIZE.pack(*image.size) + image.tobytes())
    return 0


def _data_bytes() -> int:
    """Private memory that Python and its libraries have mapped so far, most of it untouched."""
    status = Path("/proc/self/status")
    if not status.exists():  # other systems do not enforce RLIMIT_DATA either
        return 1 << 30
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
