"""When requests are due: drawn up beforehand, so that a slow server cannot thin them out."""

import random

KINDS = ("poisson", "even")


def schedule(rate: float, duration_s: float, kind: str, seed: int) -> list[float]:
    """Offsets in seconds, ascending, of the requests of `duration_s` at `rate` requests a second.

    `poisson` draws independent gaps, as of many clients that know nothing of each other; `even`
    spaces them equally, which is kinder to a server than clients are.
    """
    if kind == "even":
        return [number / rate for number in range(int(rate * duration_s))]
    chance = random.Random(seed)
    offsets = list[float]()
    now = chance.expovariate(rate)
    while now < duration_s:
        offsets.append(now)
        now += chance.expovariate(rate)
    return offsets
