"""What was found, one row a claim: ours, the other, their ratio, and whether it held."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("openvino", "numpy", "Pillow", "starlette", "uvicorn", "botocore", "boto3", "chalice")


@dataclass(frozen=True)
class Row:
    """One claim. `ratio` is ours to the other; without an other, the bound is on `ours` itself."""

    part: str
    what: str
    unit: str
    ours: float
    other: float | None
    asked: str
    held: bool

    @property
    def ratio(self) -> float | None:
        return self.ours / self.other if self.other else None


def at_least(part: str, what: str, unit: str, ours: float, other: float, times: float) -> Row:
    """Ours must be `times` the other or more."""
    return Row(part, what, unit, ours, other, f">= {_short(times)} x", ours >= times * other)


def at_most(part: str, what: str, unit: str, ours: float, other: float | None, bound: float) -> Row:
    """Ours must be `bound` times the other or less; without an other, `bound` or less."""
    if other is None:
        return Row(part, what, unit, ours, None, f"<= {_short(bound)} {unit}", ours <= bound)
    return Row(part, what, unit, ours, other, f"<= {_short(bound)} x", ours <= bound * other)


def faster(part: str, what: str, unit: str, ours: float, other: float) -> Row:
    """Ours must be more than the other."""
    return Row(part, what, unit, ours, other, "> 1 x", ours > other)


def text(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, which reads well in a terminal too."""
    head = ("what", "ours", "other", "ratio", "asked", "held")
    lines = [
        (
            row.what,
            f"{_short(row.ours)} {row.unit}",
            "" if row.other is None else f"{_short(row.other)} {row.unit}",
            "" if row.ratio is None else f"{_short(row.ratio)} x",
            row.asked,
            "yes" if row.held else "NO",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    ruler = tuple("-" * width for width in widths)
    return "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |" for line in (head, ruler, *lines)
    )


def _short(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Iterable[Row], details: dict[str, Any], peers: dict[str, str]) -> dict[str, Any]:
    """Everything that was found, and on what."""
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
    """Write `content` as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write beside `path` and rename: a run that is cut off leaves the old file whole."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


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
