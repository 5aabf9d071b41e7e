"""Sparklines and bars of characters."""

from collections.abc import Sequence

from training.watch.readings import Column

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.:-=+*#"
"""For a terminal that cannot print blocks."""


def sparkline(columns: Sequence[Column], top: float | None = None, ramp: str = BLOCKS) -> str:
    """One character a column, from 0 to `top` (default: the highest); a space: not measured."""
    highest = top or max((one for one in columns if one is not None), default=0.0)
    return "".join(" " if one is None else _step(one, highest, ramp) for one in columns)


def bar(value: float, highest: float, width: int, ramp: str = BLOCKS) -> str:
    """A bar for `value`, `width` characters long at `highest`; what is not 0 can be seen."""
    if value <= 0 or highest <= 0:
        return ""
    return ramp[-1] * max(1, round(width * value / highest))


def _step(value: float, highest: float, ramp: str) -> str:
    if highest <= 0:
        return ramp[0]
    part = min(max(value / highest, 0.0), 1.0)
    return ramp[round(part * (len(ramp) - 1))]
