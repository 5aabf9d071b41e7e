"""A chart of compared runs: time in parts, and cost."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from training.jobs.comparison import PARTS, Row
from training.plots import BLUE, GREY, ORANGE

_COLOURS = (GREY, "#b9c3cf", BLUE, ORANGE)


def write(compared: Sequence[Row], path: Path) -> None:
    """Write a PNG with a bar per finished run: its minutes by part, and its price."""
    rows = [row for row in compared if row.run.times is not None]
    figure = Figure(figsize=(10, 1.6 + 0.5 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row.run.place for row in rows]
    start = [0.0] * len(rows)
    for part, colour in zip(PARTS, _COLOURS, strict=True):
        minutes = [getattr(row.run.times, part) / 60 for row in rows]
        left.barh(names, minutes, left=start, color=colour, label=part)
        start = [before + more for before, more in zip(start, minutes, strict=True)]
    left.set_xlabel("minutes")
    left.legend(frameon=False)
    right.barh(names, [row.usd or 0.0 for row in rows], color=BLUE)
    right.set_xlabel("US dollars")
    figure.savefig(path, format="png", dpi=110)
