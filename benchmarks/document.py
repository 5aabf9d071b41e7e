"""The published results: tables in README.md and docs/performance.md, and ops/costs/capacity.json.

    python -m benchmarks.document

They are generated from benchmarks/measured, which has a file for each kind of CPU. A full run of
`python -m benchmarks` does this too.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cpu, results
from benchmarks.results import Row
from cli.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
MEASURED = Path(__file__).parent / "measured"
CAPACITY = ROOT / "ops" / "costs" / "capacity.json"
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
HIGHLIGHTS = (
    "throughput, 16 clients, vs. TorchServe with ResNet50, one worker",
    "throughput, 16 clients, vs. TorchServe with ResNet50, one worker per core",
    "p50 latency, 1 client, vs. the faster TorchServe with ResNet50",
    "memory (PSS) vs. TorchServe with ResNet50, one worker per core",
    "throughput, 16 clients, vs. LitServe with our model",
    "p50 latency, 1 client: 12-megapixel JPEG vs. 500 pixels",
    "process start to first prediction",
)
"""The rows in README.md."""
SATURATED_CLIENTS = "16"

Content = Mapping[str, Any]
"""The results of one run."""
Runs = Sequence[Content]
"""The results of each kind of CPU, fastest first."""


def path(kind: str) -> Path:
    """Return the file with the published results of a kind of CPU."""
    return MEASURED / f"{kind}.json"


def read() -> Runs:
    """Return all published results."""
    return [results.read(path(kind.name)) for kind in cpu.KINDS if path(kind.name).exists()]


def machine(content: Content) -> str:
    """Describe when and on what machine these results were measured."""
    measured_on = content["machine"]
    restricted = ", newer instruction sets switched off" if measured_on["restricted"] else ""
    return (
        f"Measured {content['date']} on {measured_on['cores']} cores of an {measured_on['cpu']} "
        f"({', '.join(measured_on['instruction_sets'])}{restricted})."
    )


def capacity(runs: Runs) -> dict[str, Any]:
    """Return what `ops costs` uses: throughput and CPU time by kind of CPU."""
    return {
        content["machine"]["kind"]: {
            "title": cpu.title(content["machine"]["kind"]),
            "cpu": content["machine"]["cpu"],
            "date": content["date"].partition(" ")[0],
            "images_per_s_and_core": round(_saturated(content) / content["machine"]["cores"], 1),
            "cpu_ms_per_image": round(_cpu_ms(content), 2),
        }
        for content in runs
    }


def _saturated(content: Content) -> float:
    clients = content["details"]["peers"]["WhatBreed"]["clients"]
    return float(clients[SATURATED_CLIENTS]["images_per_s"])


def _cpu_ms(content: Content) -> float:
    """CPU time of one image in the server, without the load generator."""
    stages = content["details"]["bare"]["cpu_ms_per_image"]
    return float(sum(ms for stage, ms in stages.items() if not stage.startswith("load generator")))


def _rows(content: Content) -> list[Row]:
    return [
        Row(**{name: value for name, value in row.items() if name != "ratio"})
        for row in content["rows"]
    ]


def _machines(runs: Runs) -> str:
    return "\n".join(
        f"- **{cpu.title(content['machine']['kind'])}**: {machine(content)}" for content in runs
    )


def _highlights(runs: Runs) -> str:
    chosen = [
        [row for what in HIGHLIGHTS for row in _rows(content) if row.what == what]
        for content in runs
    ]
    return f"{results.markdown(*chosen)}\n\n{_machines(runs)}"


def _each(render: Callable[[Content], str]) -> Callable[[Runs], str]:
    """Return a function that renders every run below a heading with its kind of CPU."""

    def render_all(runs: Runs) -> str:
        return "\n\n".join(
            f"### {cpu.title(content['machine']['kind'])}\n\n{render(content)}" for content in runs
        )

    return render_all


def _servers(content: Content) -> str:
    """Every server of the part `peers`, by number of clients."""
    servers = {
        name: server
        for name, server in content["details"]["peers"].items()
        if isinstance(server, dict)
    }
    clients = list(next(iter(servers.values()))["clients"])
    heads = [
        "server",
        *(f"{n} client{'' if n == '1' else 's'}: images/s, p50" for n in clients),
        "memory",
    ]
    lines = [heads, ["---"] * len(heads)]
    for name, server in servers.items():
        loads = [
            f"{server['clients'][n]['images_per_s']:.1f}, {server['clients'][n]['p50_ms']:.1f} ms"
            for n in clients
        ]
        lines.append([name, *loads, f"{server['memory_mb']:.0f} MB"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _stages(runs: Runs) -> str:
    """CPU time of one image by stage."""
    costs: list[dict[str, float]] = [run["details"]["bare"]["cpu_ms_per_image"] for run in runs]
    heads = ["stage", *(f"{cpu.title(run['machine']['kind'])}, ms" for run in runs)]
    lines = [[stage, *(f"{cost[stage]:.2f}" for cost in costs)] for stage in costs[0]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *lines])


Tables = Mapping[str, Callable[[Runs], str]]
TABLES: Mapping[Path, Tables] = {
    README: {"highlights": _highlights},
    PERFORMANCE: {
        "machine": _machines,
        "rows": _each(lambda content: results.markdown(_rows(content))),
        "servers": _each(_servers),
        "stages": _stages,
    },
}


def fill(page: Path, tables: Tables, runs: Runs) -> str:
    """Return the text of `page` with its tables replaced. Raise ValueError if one has no marker."""
    text = page.read_text(encoding="utf-8")
    for name, render in tables.items():
        begin, end = f"<!-- benchmarks: {name} -->\n", "\n<!-- end -->"
        before, begin_found, rest = text.partition(begin)
        _, end_found, after = rest.partition(end)
        if not (begin_found and end_found):
            raise ValueError(f"{page} has no markers for the table {name}")
        text = before + begin + render(runs) + end + after
    return text


def write(runs: Runs) -> None:
    """Write the tables of `runs` to all pages, and the capacity for `ops costs`."""
    for page, tables in TABLES.items():
        write_atomically(page, fill(page, tables, runs))
    write_atomically(CAPACITY, json.dumps(capacity(runs), indent=2) + "\n")


if __name__ == "__main__":
    write(read())
