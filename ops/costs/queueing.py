"""One instance as a queue: M/M/c/K, which has a formula for everything that is asked here.

Requests come independently of each other (SageMaker routes them at random by default), `workers`
are served at a time, `waiting` wait, more are refused, as `model_code.serve` does. Service times
are taken as exponentially distributed, which they are not: the time of a photo varies less, so real
waits are shorter. Sources: Kleinrock, Queueing Systems I, 3.8 (M/M/c/K); Erlang (the loss formula).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LATENCIES_S: Floats = np.geomspace(0.0005, 60.0, 400)
"""The latencies at which distributions are kept: 3 % apart."""


@dataclass(frozen=True, slots=True)
class Server:
    """An instance: so many predictions at a time, each of `service_s` seconds on average."""

    workers: int
    service_s: float
    waiting: int

    @property
    def capacity(self) -> float:
        """Requests a second at which it is never idle."""
        return self.workers / self.service_s


@dataclass(frozen=True, slots=True)
class Steady:
    """A queue under constant load, once it has settled (which takes these queues seconds)."""

    refused: float
    """Probability that a request is refused."""
    tail: Floats
    """Probability that an answered request takes longer than each of LATENCIES_S."""


def occupancy(server: Server, rate: float) -> Floats:
    """Probability of 0, 1, … K requests in the instance, at `rate` requests a second."""
    places = server.workers + server.waiting
    load = rate * server.service_s
    if load == 0:
        return np.asarray(np.eye(1, places + 1)[0])
    number = np.arange(1, places + 1)
    # Each request more: times load, over those that are served; as logarithms, not to overflow.
    logarithms = np.concatenate(
        [[0.0], np.cumsum(np.log(load) - np.log(np.minimum(number, server.workers)))]
    )
    weights = np.exp(logarithms - logarithms.max())
    return np.asarray(weights / weights.sum())


@lru_cache(maxsize=20_000)
def steady(server: Server, rate: float) -> Steady:
    """The settled queue of one instance at `rate` requests a second."""
    chances = occupancy(server, rate)
    refused = float(chances[-1]) if rate else 0.0
    arriving = chances[:-1] / chances[:-1].sum()  # what an accepted request finds there
    in_front = np.arange(len(arriving)) - server.workers + 1  # how many must leave before it starts
    must_wait = in_front > 0
    tail = np.zeros_like(LATENCIES_S)
    # The wait is the sum of so many departures, the service is taken at its mean.
    waits = LATENCIES_S - server.service_s
    if must_wait.any():
        passed = np.maximum(waits, 0) * server.capacity
        tail = _fewer_departures(passed, int(in_front.max())) @ arriving[must_wait]
    return Steady(refused, np.where(waits < 0, 1.0, tail))


def _fewer_departures(passed: Floats, most: int) -> Floats:
    """P(a Poisson number of mean `passed` is below k), a column for each k of 1 … `most`."""
    number = np.arange(most)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most)))])
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(number == 0, 0.0, number * np.log(passed)[:, None])
    return np.asarray(np.cumsum(np.exp(logarithm - passed[:, None] - log_factorial), axis=1))


def quantile_s(tail: Floats, part: float) -> float:
    """The latency in seconds that `part` of the requests do not exceed, read off a tail."""
    above = 1 - part
    if tail[0] <= above:
        return float(LATENCIES_S[0])
    first = int(np.argmax(tail <= above)) if (tail <= above).any() else len(tail) - 1
    here, before = tail[first], tail[first - 1]
    if before - here <= 0 or before == 1.0:
        return float(LATENCIES_S[first])
    between = (before - above) / (before - here)
    low, high = np.log(LATENCIES_S[first - 1]), np.log(LATENCIES_S[first])
    return float(np.exp(low + (high - low) * min(max(between, 0.0), 1.0)))


def lost(load: Floats, places: int) -> Floats:
    """Erlang's loss formula: the part of requests that find all `places` taken.

    `load` is rate x duration; it holds for any distribution of the duration, which is why it fits
    Lambda's concurrency.
    """
    blocked = np.ones_like(load)
    for number in range(1, places + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked
