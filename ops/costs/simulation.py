"""A day of traffic against target tracking: instances, latencies, refusals.

Every 10 seconds the load is dealt out equally to the instances in service, and each is taken as a
settled M/M/c/K queue (`queueing`). Two days are simulated and the second is told, so that the night
before has scaled in.
"""

from dataclasses import dataclass

import numpy as np

from aws.settings import ScalingSettings
from ops.costs.queueing import LATENCIES_S, Floats, Server, quantile_s, steady
from ops.costs.tracking import PERIOD_S, Delays, Tracker
from ops.costs.traffic import DAY_S, Traffic

STEP_S = 10
UTILIZATION_STEP = 0.002
"""Loads are rounded to this part of an instance's capacity: it bounds the work, not the result."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of the day; rates are requests a second, means over the minute."""

    rate: float
    in_service: int
    starting: int
    refused: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Day:
    """What came of the day."""

    minutes: tuple[Minute, ...]
    requests: float
    refused: float
    p50_s: float
    p99_s: float
    """Of all requests that were answered; `minutes` tell the worst minute's."""
    instance_hours: float
    """In service and starting: both are paid for."""
    asked_for: int
    """The most instances that the policy wanted, whatever its maximum."""

    @property
    def peak_instances(self) -> int:
        return max(minute.in_service + minute.starting for minute in self.minutes)

    @property
    def fewest_instances(self) -> int:
        return min(minute.in_service for minute in self.minutes)

    @property
    def worst_p99_s(self) -> float:
        return max(minute.p99_s for minute in self.minutes)

    @property
    def refused_part(self) -> float:
        return self.refused / self.requests if self.requests else 0.0


class _Sums:
    """Requests, refusals and the latencies' distribution, added up."""

    def __init__(self) -> None:
        self.requests = 0.0
        self.refused = 0.0
        self._tail = np.zeros_like(LATENCIES_S)

    def add(self, requests: float, refused: float, tail: Floats) -> None:
        self.requests += requests
        self.refused += refused
        self._tail += (requests - refused) * tail

    def join(self, other: "_Sums") -> None:
        self.requests += other.requests
        self.refused += other.refused
        self._tail += other._tail

    def quantile_s(self, part: float) -> float:
        answered = self.requests - self.refused
        return quantile_s(self._tail / answered, part) if answered > 0 else 0.0


def simulate(traffic: Traffic, server: Server, scaling: ScalingSettings, delays: Delays) -> Day:
    """The second day of `traffic` on instances like `server` that `scaling` adds and removes."""
    tracker = Tracker(scaling, delays)
    for start_s in range(0, DAY_S, PERIOD_S):
        requests = 0.0
        for second in range(start_s, start_s + PERIOD_S, STEP_S):
            tracker.advance(second)
            requests += traffic.rate(second) * STEP_S
        tracker.minute(start_s + PERIOD_S, requests)
    whole = _Sums()
    minutes = list[Minute]()
    instance_s, asked_for = 0.0, 0
    for start_s in range(DAY_S, 2 * DAY_S, PERIOD_S):
        sums = _Sums()
        for second in range(start_s, start_s + PERIOD_S, STEP_S):
            tracker.advance(second)
            rate = traffic.rate(second)
            queue = steady(server, _rounded(rate / tracker.in_service, server))
            sums.add(rate * STEP_S, rate * STEP_S * queue.refused, queue.tail)
            instance_s += STEP_S * (tracker.in_service + tracker.starting)
        tracker.minute(start_s + PERIOD_S, sums.requests)
        whole.join(sums)
        asked_for = max(asked_for, tracker.asked_for)
        minutes.append(
            Minute(
                rate=sums.requests / PERIOD_S,
                in_service=tracker.in_service,
                starting=tracker.starting,
                refused=sums.refused / PERIOD_S,
                p99_s=sums.quantile_s(0.99),
            )
        )
    return Day(
        minutes=tuple(minutes),
        requests=whole.requests,
        refused=whole.refused,
        p50_s=whole.quantile_s(0.5),
        p99_s=whole.quantile_s(0.99),
        instance_hours=instance_s / 3600,
        asked_for=asked_for,
    )


def _rounded(rate: float, server: Server) -> float:
    step = server.capacity * UTILIZATION_STEP
    return round(rate / step) * step
