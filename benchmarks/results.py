"""Results: one row per claim with its target, and the machine they were measured on."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cli.files import write_atomically

PACKAGES = ("openvino", "numpy", "Pillow", "starlette", "uvicorn", "botocore", "boto3", "chalice")


@dataclass(frozen=True)
class Row:
    """One claim: the measured value against a reference, or without one against a bound."""

    part: str
    what: str
    unit: str
    measured: float
    reference: float | None
    target: str
    met: bool

    @property
    def ratio(self) -> float | None:
        return self.measured / self.reference if self.reference else None


def at_least(
    part: str, what: str, unit: str, measured: float, reference: float, times: float
) -> Row:
    """Target: `times` the reference or more."""
    target = f">= {_short(times)} x"
    return Row(part, what, unit, measured, reference, target, measured >= times * reference)


def at_most(
    part: str, what: str, unit: str, measured: float, reference: float | None, bound: float
) -> Row:
    """Target: `bound` times the reference or less; without a reference, `bound` or less."""
    if reference is None:
        target = f"<= {_short(bound)} {unit}"
        return Row(part, what, unit, measured, None, target, measured <= bound)
    target = f"<= {_short(bound)} x"
    return Row(part, what, unit, measured, reference, target, measured <= bound * reference)


def faster(part: str, what: str, unit: str, measured: float, reference: float) -> Row:
    """Target: more than the reference."""
    return Row(part, what, unit, measured, reference, "> 1 x", measured > reference)


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, aligned for the terminal."""
    heads = ("what", "measured", "reference", "ratio", "target", "met")
    lines = [
        (
            row.what,
            f"{_short(row.measured)} {row.unit}",
            "" if row.reference is None else f"{_short(row.reference)} {row.unit}",
            "" if row.ratio is None else f"{_short(row.ratio)} x",
            row.target,
            "yes" if row.met else "no",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (heads, *lines)) for column in range(len(heads))]
    ruler = tuple("-" * width for width in widths)
    return "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |" for line in (heads, ruler, *lines)
    )


def _short(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Iterable[Row], details: dict[str, Any], peers: dict[str, str]) -> dict[str, Any]:
    """Return all results with the machine and the versions, ready for JSON."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(os.getloadavg()[2], 2),
        },
        "versions": {"python": platform.python_version()} | dict(_versions()) | peers,
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
        "details": details,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write results as JSON."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _cpu() -> str:
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line for line in info.splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.processor()


def _versions() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
