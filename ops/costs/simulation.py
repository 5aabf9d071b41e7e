"""Simulate a day of traffic under target tracking: instances, latencies and rejected requests.

Every 10 seconds the load is divided equally among the instances in service, and each is taken as a
settled M/M/c/K queue. Two days are simulated and the second is reported, so that the instances of
the night before are right.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aws.settings import ScalingSettings
from ops.costs.queueing import LATENCIES_S, Floats, Server, quantile_s, steady_state
from ops.costs.settings import CostsSettings
from ops.costs.target_tracking import PERIOD_S, TargetTracker
from ops.costs.traffic import DAY_S, Traffic

STEP_S = 10
UTILIZATION_STEP = 0.002
"""Loads are rounded to this fraction of a server's capacity. It bounds the distinct queues."""


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """The result: per minute in arrays, and in total. Rates are per second."""

    rates: Floats
    rejected_rates: Floats
    p99_s_by_minute: Floats
    in_service: NDArray[np.int_]
    starting: NDArray[np.int_]
    requests: float
    rejected: float
    p50_s: float
    p99_s: float
    """Of all answered requests of the day."""
    worst_p99_s: float
    """Of the worst minute."""
    min_instances: int
    max_instances: int
    """In service and starting."""
    desired_instances: int
    """The highest count that the policy computed, before its maximum."""
    instance_hours: float
    """In service and starting: AWS bills both."""

    @property
    def rejected_fraction(self) -> float:
        return self.rejected / self.requests


def simulate(
    traffic: Traffic, server: Server, scaling: ScalingSettings, costs: CostsSettings
) -> Day:
    """Simulate `traffic` on instances like `server`, whose number `scaling` controls."""
    minutes = list(_minutes(traffic, server, TargetTracker(scaling, costs)))
    second_day = minutes[len(minutes) // 2 :]
    rates, rejected, instances, in_service, starting, desired, answered = map(
        np.array, zip(*second_day, strict=True)
    )
    p99_s_by_minute = np.array([_quantile_s(minute, 0.99) for minute in answered])
    return Day(
        rates=rates,
        rejected_rates=rejected,
        p99_s_by_minute=p99_s_by_minute,
        in_service=in_service,
        starting=starting,
        requests=float(rates.sum()) * PERIOD_S,
        rejected=float(rejected.sum()) * PERIOD_S,
        p50_s=_quantile_s(answered.sum(axis=0), 0.5),
        p99_s=_quantile_s(answered.sum(axis=0), 0.99),
        worst_p99_s=float(p99_s_by_minute.max()),
        min_instances=int(in_service.min()),
        max_instances=int((in_service + starting).max()),
        desired_instances=int(desired.max()),
        instance_hours=float(instances.sum()) * PERIOD_S / 3600,
    )


def _minutes(
    traffic: Traffic, server: Server, tracker: TargetTracker
) -> Iterator[tuple[float, float, float, int, int, int, Floats]]:
    """Yield for each minute of two days: means of the rate, of the rejected rate and of the
    instances; instances in service, starting and desired; answered requests and their tail."""
    offered = traffic.rates(np.arange(0.0, DAY_S, STEP_S)).tolist() * 2
    steps = PERIOD_S // STEP_S
    for first in range(0, len(offered), steps):
        total, rejected, instances = 0.0, 0.0, 0
        answered = np.zeros(1 + len(LATENCIES_S))
        for step in range(first, first + steps):
            tracker.advance(step * STEP_S)
            rate = offered[step]
            queue = steady_state(server, _rounded(rate / tracker.in_service, server))
            total += rate
            rejected += rate * queue.rejected
            instances += tracker.in_service + tracker.starting
            answered[0] += rate * (1 - queue.rejected)
            answered[1:] += rate * (1 - queue.rejected) * queue.tail
        counts = tracker.in_service, tracker.starting, tracker.desired
        tracker.report_minute((first + steps) * STEP_S, total * STEP_S)
        yield total / steps, rejected / steps, instances / steps, *counts, answered


def _quantile_s(answered: Floats, fraction: float) -> float:
    requests, tail = answered[0], answered[1:]
    return quantile_s(tail / requests, fraction) if requests else 0.0


def _rounded(rate: float, server: Server) -> float:
    step = server.capacity * UTILIZATION_STEP
    return round(rate / step) * step
