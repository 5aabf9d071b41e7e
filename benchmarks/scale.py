"""Durations and counts of a full run, a quick run and a test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`load_s` and `warm_up_s` are seconds per load, the others are counts."""

    rounds: int
    load_s: float
    warm_up_s: float
    clients: tuple[int, ...]
    starts: int
    """Processes to start if starting is measured."""
    calls: int
    """Calls of a function if one call is measured."""
    peers: bool


FULL = Scale(3, 4.0, 1.0, (1, 4, 16), starts=9, calls=200, peers=True)
QUICK = Scale(3, 2.0, 0.5, (1, 16), starts=5, calls=100, peers=False)
"""Two minutes without the peers: shows whether a change helps."""
SMOKE = Scale(1, 1.0, 0.3, (1, 4), starts=3, calls=20, peers=False)
"""Checks in less than a minute that everything runs. Its figures mean little."""
