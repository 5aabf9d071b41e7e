"""Formulas for one instance as an M/M/c/K queue, and for functions as a loss system.

Requests arrive independently of each other: SageMaker routes them at random by default. `workers`
are served at a time, `waiting` wait, and the rest are rejected, as in model_code/serve.py. Service
times are assumed to be exponential. Those of images vary less, so real waits are shorter.
Sources: Kleinrock, Queueing Systems, volume 1, 3.8 (M/M/c/K); Erlang (loss formula).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr, softmax

Floats = NDArray[np.float64]

LATENCIES_S: Floats = np.geomspace(0.0005, 60.0, 400)
"""The grid of all latency distributions: steps of 3 %."""


@dataclass(frozen=True, slots=True)
class Server:
    """An instance: predictions at a time, mean seconds per prediction, places in its queue."""

    workers: int
    service_s: float
    waiting: int

    @property
    def capacity(self) -> float:
        """Requests per second at which no worker is ever idle."""
        return self.workers / self.service_s


def occupancy(server: Server, rate: float) -> Floats:
    """Return the probabilities of 0, 1, … K requests in the instance at `rate` per second."""
    places = server.workers + server.waiting
    load = rate * server.service_s
    if load == 0:
        return np.asarray(np.eye(1, places + 1)[0])
    busy = np.minimum(np.arange(1, places + 1), server.workers)
    # logarithms, because the powers of the load overflow
    return np.asarray(softmax(np.concatenate([[0.0], np.cumsum(np.log(load / busy))])))


@lru_cache(maxsize=20_000)
def steady_state(server: Server, rate: float) -> tuple[float, Floats]:
    """Return how one instance responds to a constant `rate` per second, to which it soon settles.

    The result is the probability that a request is rejected, and the probabilities that an answered
    one takes longer than each of LATENCIES_S.
    """
    probabilities = occupancy(server, rate)
    rejected = float(probabilities[-1])
    # what an accepted request finds; those who find a free worker do not wait
    queued = (probabilities[:-1] / probabilities[:-1].sum())[server.workers :]
    # The wait ends with the n-th departure, and departures are a Poisson process while all workers
    # are busy. The service itself is taken at its mean.
    waits = LATENCIES_S - server.service_s
    departures = np.maximum(waits, 0) * server.capacity
    fewer_than = pdtr(np.arange(len(queued)), departures[:, None])
    return rejected, np.where(waits < 0, 1.0, fewer_than @ queued)


def quantile_s(tail: Floats, fraction: float) -> float:
    """Return the latency in seconds that `fraction` of the requests do not exceed."""
    return float(np.exp(np.interp(fraction, 1 - tail, np.log(LATENCIES_S))))


def loss(load: Floats, places: int) -> Floats:
    """Return the fraction of requests that find all `places` taken: Erlang's loss formula.

    `load` is rate x duration. The formula holds for any distribution of the duration, so it applies
    to Lambda's concurrency.
    """
    blocked = np.ones_like(load)
    for number in range(1, places + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked
