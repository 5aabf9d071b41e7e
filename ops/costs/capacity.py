"""Images per second and core, by kind of CPU, as the benchmarks measured them.

capacity.json is generated from benchmarks/measured by `python -m benchmarks.document`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aws.instance_types import vcpus

PATH = Path(__file__).with_name("capacity.json")

LADDERS = (
    ("amx", "avx512-vnni", "avx512", "avx2-vnni", "avx2"),
    ("arm64-i8mm", "arm64-dotprod", "arm64"),
)
"""Kinds of CPU of benchmarks/cpu.py, each faster than those after it."""
FAMILIES = {
    **dict.fromkeys(("c7i", "m7i", "r7i"), "amx"),
    **dict.fromkeys(("c6i", "m6i", "r6i", "c6in"), "avx512-vnni"),
    # some hosts have VNNI (Cascade Lake), others do not (Skylake)
    **dict.fromkeys(("c5", "c5d", "m5", "m5d", "r5", "r5d", "t3"), "avx512"),
    **dict.fromkeys(("t2",), "avx2"),
    **dict.fromkeys(("c7g", "c8g", "m8g", "r7gd", "r8g"), "arm64-i8mm"),
    **dict.fromkeys(("c6g", "c6gd", "c6gn", "m6g", "m6gd", "r6g", "r6gd"), "arm64-dotprod"),
}
"""What every host of an instance family has.

Source: processors in https://docs.aws.amazon.com/ec2/latest/instancetypes/co.html and gp.html
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A result of the benchmarks."""

    title: str
    cpu: str
    date: str
    images_per_s_and_core: float
    cpu_ms_per_image: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """Images per second of an instance, one vCPU taken as a core, and where the figure is from."""

    images_per_s: float
    basis: str
    is_measured: bool


Results = Mapping[str, Measured]
"""Results by kind of CPU."""


@cache
def measured() -> Results:
    """Return the published results."""
    document = json.loads(PATH.read_text(encoding="utf-8"))
    return {kind: Measured(**values) for kind, values in document.items()}


def slowest(results: Results | None = None) -> Measured:
    """Return the result of the slowest CPU."""
    results = results or measured()
    return min(results.values(), key=lambda result: result.images_per_s_and_core)


def of(instance_type: str, results: Results | None = None) -> Capacity:
    """Return the capacity of an instance type, by the closest CPU that is not faster than its own.

    If no such CPU was measured, it is that of the slowest one. Without `results`, the published
    ones are used.
    """
    results = results or measured()
    kind = FAMILIES.get(instance_type.removeprefix("ml.").partition(".")[0], "")
    ladder = next((ladder for ladder in LADDERS if kind in ladder), ())
    slower = ladder[ladder.index(kind) :] if kind else ()
    known = next((results[name] for name in slower if name in results), None)
    result = known or slowest(results)
    if known:
        basis = f"measured on {result.title}"
    elif ladder == LADDERS[1]:
        basis = f"not measured on Graviton; as on {result.title}"
    else:
        basis = f"not measured on its CPU; as on {result.title}"
    rate = result.images_per_s_and_core * vcpus(instance_type)
    return Capacity(rate, basis, is_measured=known is not None)
