"""Simulate a day of traffic under target tracking: instances, latencies and rejected requests.

Every 10 seconds the load is divided equally among the instances in service, and each is taken as a
settled M/M/c/K queue. Two days are simulated and the second is reported, so that the instances of
the night before are right.
"""

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
    p50_s: float
    p99_s: float
    """Of all answered requests of the day."""
    instance_hours: float
    """Both in service and starting: AWS bills both."""
    desired_instances: int
    """The highest count that the policy computed, before its maximum."""

    @property
    def requests(self) -> float:
        return float(self.rates.sum()) * PERIOD_S

    @property
    def rejected(self) -> float:
        return float(self.rejected_rates.sum()) * PERIOD_S

    @property
    def rejected_fraction(self) -> float:
        return self.rejected / self.requests

    @property
    def min_instances(self) -> int:
        return int(self.in_service.min())

    @property
    def max_instances(self) -> int:
        return int((self.in_service + self.starting).max())

    @property
    def worst_p99_s(self) -> float:
        return float(self.p99_s_by_minute.max())


def simulate(
    traffic: Traffic, server: Server, scaling: ScalingSettings, costs: CostsSettings
) -> Day:
    """Simulate `traffic` on instances like `server`, whose number `scaling` controls."""
    tracker = TargetTracker(scaling, costs)
    offered = np.tile(traffic.rates(np.arange(0.0, DAY_S, STEP_S)), 2).tolist()
    steps_per_minute = PERIOD_S // STEP_S
    minutes = len(offered) // steps_per_minute
    rates, rejected, instances = np.zeros((3, minutes))
    answered = np.zeros((minutes, 1 + len(LATENCIES_S)))  # requests, then those above each latency
    counts = np.zeros((minutes, 3), int)  # in service, starting, desired
    for minute in range(minutes):
        first = minute * steps_per_minute
        for step in range(first, first + steps_per_minute):
            tracker.advance(step * STEP_S)
            rate = offered[step]
            queue = steady_state(server, _rounded(rate / tracker.in_service, server))
            rates[minute] += rate / steps_per_minute
            rejected[minute] += rate * queue.rejected / steps_per_minute
            answered[minute, 0] += rate * (1 - queue.rejected)
            answered[minute, 1:] += rate * (1 - queue.rejected) * queue.tail
            instances[minute] += (tracker.in_service + tracker.starting) / steps_per_minute
        counts[minute] = tracker.in_service, tracker.starting, tracker.desired
        tracker.report_minute((minute + 1) * PERIOD_S, rates[minute] * PERIOD_S)
    day = slice(minutes // 2, None)
    return Day(
        rates=rates[day],
        rejected_rates=rejected[day],
        p99_s_by_minute=np.array([_quantile_s(minute, 0.99) for minute in answered[day]]),
        in_service=counts[day, 0],
        starting=counts[day, 1],
        p50_s=_quantile_s(answered[day].sum(axis=0), 0.5),
        p99_s=_quantile_s(answered[day].sum(axis=0), 0.99),
        instance_hours=float(instances[day].sum()) * PERIOD_S / 3600,
        desired_instances=int(counts[day, 2].max()),
    )


def _quantile_s(answered: Floats, fraction: float) -> float:
    requests, tail = answered[0], answered[1:]
    return quantile_s(tail / requests, fraction) if requests else 0.0


def _rounded(rate: float, server: Server) -> float:
    step = server.capacity * UTILIZATION_STEP
    return round(rate / step) * step
