"""The tables of README.md and docs/performance.md, from what the last full run found.

python -m benchmarks.document      # writes them anew; a full run does so itself
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.table import Row

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results.json"
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
HIGHLIGHTS = (
    "TorchServe with ResNet50",
    "the faster of the two",
    "LitServe with our model: images/s, 16 clients",
    "12 megapixels",
    "process start",
    "import app",
)
"""What README quotes: the rows that say one of these."""

Content = Mapping[str, Any]


def _rows(content: Content) -> list[Row]:
    return [
        Row(**{name: value for name, value in row.items() if name != "ratio"})
        for row in content["rows"]
    ]


def _highlights(content: Content) -> str:
    return table.text([row for row in _rows(content) if any(h in row.what for h in HIGHLIGHTS)])


def _servers(content: Content) -> str:
    """Every server of the part `peers`, at each number of clients."""
    servers = {
        name: found
        for name, found in content["details"]["peers"].items()
        if isinstance(found, dict)
    }
    clients = list(next(iter(servers.values()))["clients"])
    head = ["server", *(f"images/s, p50 at {n}" for n in clients), "memory"]
    lines = [head, ["---"] * len(head)]
    for name, found in servers.items():
        loads = [
            f"{found['clients'][n]['images_per_s']:.1f}, {found['clients'][n]['p50_ms']:.1f} ms"
            for n in clients
        ]
        lines.append([name, *loads, f"{found['memory_mb']:.0f} MB"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _stages(content: Content) -> str:
    """Where the processor time of one photo goes."""
    costs: dict[str, float] = content["details"]["bare"]["cpu_ms_per_image"]
    lines = [f"| {stage} | {cost:.2f} |" for stage, cost in costs.items()]
    return "\n".join(["| stage | ms |", "| --- | --- |", *lines])


def _machine(content: Content) -> str:
    machine = content["machine"]
    return f"{content['date']}, {machine['cores']} cores of an {machine['cpu']}."


TABLES: Mapping[Path, Mapping[str, Callable[[Content], str]]] = {
    README: {"highlights": _highlights},
    PERFORMANCE: {
        "machine": _machine,
        "rows": lambda content: table.text(_rows(content)),
        "servers": _servers,
        "stages": _stages,
    },
}


def filled(page: Path, content: Content) -> str:
    """The text of `page` with each of its tables as `content` has it."""
    text = page.read_text(encoding="utf-8")
    for name, make in TABLES[page].items():
        begin, end = f"<!-- benchmarks: {name} -->\n", "\n<!-- end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{page} has no place for the table {name}")
        text = before + begin + make(content) + end + after
    return text


def write(content: Content) -> None:
    """Put the tables of `content` into the pages."""
    for page in TABLES:
        table.write_text(page, filled(page, content))


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text(encoding="utf-8")))
