"""Arrival times, computed in advance so that a slow server cannot delay them."""

import random


def schedule(rate: float, duration_s: float, kind: str, seed: int) -> list[float]:
    """Return the due times in seconds, ascending, of `duration_s` at `rate` requests per second.

    `poisson` draws independent gaps, as from many independent clients. `even` spaces requests
    equally, which is easier for a server than real clients are.
    """
    if kind == "even":
        return [number / rate for number in range(int(rate * duration_s))]
    generator = random.Random(seed)
    times = list[float]()
    now = generator.expovariate(rate)
    while now < duration_s:
        times.append(now)
        now += generator.expovariate(rate)
    return times
