"""How long and how often everything is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`load_s` and `warm_up_s` are seconds of a load; the rest are counts."""

    rounds: int
    load_s: float
    warm_up_s: float
    clients: tuple[int, ...]
    starts: int
    """Processes started where starting is what is measured."""
    calls: int
    """Calls of a function where one call is what is measured."""
    peers: bool


FULL = Scale(3, 4.0, 1.0, (1, 4, 16), starts=9, calls=200, peers=True)
QUICK = Scale(1, 1.0, 0.3, (1, 4), starts=3, calls=20, peers=False)
"""A smoke: that everything still runs, in a minute. Its figures mean little."""
