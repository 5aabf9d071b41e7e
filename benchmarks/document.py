"""The tables in README.md and docs/performance.md, generated from results.json.

    python -m benchmarks.document

A full run of `python -m benchmarks` does this too.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.results import Row
from cli.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results.json"
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
HIGHLIGHTS = (
    "throughput, 16 clients, vs. TorchServe with ResNet50, one worker per core",
    "p50 latency, 1 client, vs. the faster TorchServe with ResNet50",
    "memory (PSS) vs. TorchServe with ResNet50, one worker per core",
    "throughput, 16 clients, vs. LitServe with our model",
    "p50 latency, 1 client: 12-megapixel JPEG vs. 500 pixels",
    "process start to first prediction",
)
"""The rows in README.md."""

Content = Mapping[str, Any]


def _rows(content: Content) -> list[Row]:
    return [
        Row(**{name: value for name, value in row.items() if name != "ratio"})
        for row in content["rows"]
    ]


def _highlights(content: Content) -> str:
    rows = {row.what: row for row in _rows(content)}
    return results.markdown([rows[what] for what in HIGHLIGHTS])


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


def _stages(content: Content) -> str:
    """CPU time of one image by stage."""
    costs: dict[str, float] = content["details"]["bare"]["cpu_ms_per_image"]
    lines = [f"| {stage} | {cost:.2f} |" for stage, cost in costs.items()]
    return "\n".join(["| stage | ms |", "| --- | --- |", *lines])


def _machine(content: Content) -> str:
    machine = content["machine"]
    return f"Measured {content['date']} on {machine['cores']} cores of an {machine['cpu']}."


Tables = Mapping[str, Callable[[Content], str]]
TABLES: Mapping[Path, Tables] = {
    README: {"highlights": _highlights},
    PERFORMANCE: {
        "machine": _machine,
        "rows": lambda content: results.markdown(_rows(content)),
        "servers": _servers,
        "stages": _stages,
    },
}


def fill(page: Path, tables: Tables, content: Content) -> str:
    """Return the text of `page` with its tables replaced. Raise ValueError if one has no marker."""
    text = page.read_text(encoding="utf-8")
    for name, render in tables.items():
        begin, end = f"<!-- benchmarks: {name} -->\n", "\n<!-- end -->"
        before, begin_found, rest = text.partition(begin)
        _, end_found, after = rest.partition(end)
        if not (begin_found and end_found):
            raise ValueError(f"{page} has no markers for the table {name}")
        text = before + begin + render(content) + end + after
    return text


def write(content: Content) -> None:
    """Write the tables of `content` to all pages."""
    for page, tables in TABLES.items():
        write_atomically(page, fill(page, tables, content))


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text(encoding="utf-8")))
