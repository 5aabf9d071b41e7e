"""Results: one row per claim with its target, and the machine they were measured on."""

import itertools
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import cpu
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


def markdown(*runs: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, aligned for the terminal.

    The values of several runs are ranges. A target is met if all runs meet it.
    """
    heads = ("what", "measured", "reference", "ratio", "target", "met")
    groups: dict[str, list[Row]] = {}
    for row in itertools.chain.from_iterable(runs):
        groups.setdefault(row.what, []).append(row)
    lines = [
        (
            what,
            _range([row.measured for row in rows], rows[0].unit),
            _range([row.reference for row in rows], rows[0].unit),
            _range([row.ratio for row in rows], "x"),
            rows[0].target,
            _met(rows),
        )
        for what, rows in groups.items()
    ]
    return table(heads, lines)


def changes(now: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    """Return a table that compares measured values with published ones of the same kind of CPU."""
    before = dict(_values(published))
    heads = (f"against {published['date']}", "published", "now", "change")
    lines = [
        (
            what,
            f"{_short(before[what][0])} {unit}",
            f"{_short(value)} {unit}",
            f"{value / before[what][0] - 1:+.0%}",
        )
        for what, (value, unit) in _values(now)
        if what in before and before[what][0]
    ]
    return table(heads, lines)


def _values(content: Mapping[str, Any]) -> Iterable[tuple[str, tuple[float, str]]]:
    """Our own values by name, with their unit: those of rows, and those without a reference."""
    ours = content["details"].get("peers", {}).get("WhatBreed", {})
    for clients, load in ours.get("clients", {}).items():
        plural = "" if clients == "1" else "s"
        yield f"throughput, {clients} client{plural}", (load["images_per_s"], "images/s")
        yield f"p50 latency, {clients} client{plural}", (load["p50_ms"], "ms")
    if ours:
        yield "memory (PSS)", (ours["memory_mb"], "MB")
    for row in content["rows"]:
        if row["part"] != "peers":
            yield row["what"], (row["measured"], row["unit"])


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned for the terminal."""
    widths = [max(len(line[column]) for line in (heads, *lines)) for column in range(len(heads))]
    ruler = tuple("-" * width for width in widths)
    return "\n".join(
        f"| {' | '.join(map(str.ljust, line, widths))} |" for line in (heads, ruler, *lines)
    )


def _range(values: Sequence[float | None], unit: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    ends = dict.fromkeys((_short(min(known)), _short(max(known))))
    return f"{' to '.join(ends)} {unit}"


def _met(rows: Sequence[Row]) -> str:
    met = {row.met for row in rows}
    return "in part" if len(met) == 2 else "yes" if True in met else "no"


def _short(value: float) -> str:
    """Three significant digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(rows: Iterable[Row], details: dict[str, Any], peers: dict[str, str]) -> dict[str, Any]:
    """Return all results with the machine and the versions, ready for JSON."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {
            **cpu.describe(),
            "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": round(os.getloadavg()[2], 2),
        },
        "versions": {"python": platform.python_version()} | dict(_versions()) | peers,
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
        "details": details,
    }


def read(path: Path) -> dict[str, Any]:
    """Return the results in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """Write results as JSON."""
    write_atomically(path, json.dumps(content, indent=1) + "\n")


def _versions() -> Iterable[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
