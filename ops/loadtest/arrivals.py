"""Arrival times, computed in advance so that a slow server cannot delay them."""

import numpy as np


def schedule(rate: float, duration_s: float, kind: str, seed: int) -> list[float]:
    """Return the due times in seconds, ascending, of `duration_s` at `rate` requests per second.

    `poisson` draws independent times, as from many independent clients. `even` spaces requests
    equally, which is easier for a server than real clients are.
    """
    if kind == "even":
        return [number / rate for number in range(int(rate * duration_s))]
    generator = np.random.default_rng(seed)
    times = generator.uniform(0, duration_s, generator.poisson(rate * duration_s))
    return [float(time) for time in np.sort(times)]
