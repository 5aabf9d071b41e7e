"""The CPU of this machine, and the instruction sets that decide how fast it infers."""

import os
import platform
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

INSTRUCTION_SETS = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX",
    "asimd": "NEON",
    "asimddp": "dot product",
    "i8mm": "I8MM",
}
"""Names by the flag in /proc/cpuinfo, of those that OpenVINO has kernels for."""


class Kind(NamedTuple):
    """A kind of CPU. Each has its own file of results."""

    name: str
    flag: str
    title: str


KINDS = (
    Kind("amx", "amx_int8", "AMX"),
    Kind("avx512-vnni", "avx512_vnni", "AVX-512 with VNNI"),
    Kind("avx512", "avx512f", "AVX-512 without VNNI"),
    Kind("avx2-vnni", "avx_vnni", "AVX2 with VNNI"),
    Kind("avx2", "avx2", "AVX2"),
    Kind("arm64-i8mm", "i8mm", "Arm with I8MM"),
    Kind("arm64-dotprod", "asimddp", "Arm with dot product"),
    Kind("arm64", "asimd", "Arm"),
    Kind("other", "", "other"),
)
"""Fastest int8 kernels first: a CPU is of the first kind whose flag it has."""


def kind(flags: Collection[str]) -> Kind:
    """Return the kind of a CPU with these flags."""
    return next(kind for kind in KINDS if not kind.flag or kind.flag in flags)


_AVX2_ONLY = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # OpenVINO's and PyTorch's oneDNN
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
_BEYOND_AVX2 = ("avx512", "avx_vnni", "amx")


def restrict_to_avx2() -> None:
    """Switch off newer instruction sets in this process and the ones it starts.

    Must be called before OpenVINO compiles a model.
    https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
    """
    os.environ.update(_AVX2_ONLY)


def title(name: str) -> str:
    """Return the title of the kind `name`."""
    return next(kind.title for kind in KINDS if kind.name == name)


def describe() -> dict[str, Any]:
    """Return the name, kind, instruction sets and usable cores of this CPU, ready for JSON.

    `restricted` tells if the CPU has more instruction sets than those in use.
    """
    flags = _field("flags", "Features").split()
    restricted = _AVX2_ONLY.items() <= os.environ.items()
    if restricted:
        flags = [flag for flag in flags if not flag.startswith(_BEYOND_AVX2)]
    return {
        "cpu": _field("model name") or platform.processor(),
        "kind": kind(flags).name,
        "instruction_sets": [name for flag, name in INSTRUCTION_SETS.items() if flag in flags],
        "restricted": restricted,
        "cores": len(os.sched_getaffinity(0)),
    }


def _field(*names: str) -> str:
    """The first of these fields in /proc/cpuinfo; Arm has `Features` instead of `flags`."""
    for line in _cpuinfo().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


@cache
def _cpuinfo() -> str:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8")
