"""Simulate a day of traffic under target tracking: instances, latencies and rejected requests.

Every 10 seconds the load is divided equally among the instances in service, and each is taken as a
settled M/M/c/K queue. Two days are simulated and the second is reported, so that the instances of
the night before are right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aws.settings import ScalingSettings
from ops.costs.queueing import Floats, Server, quantile_s, steady_state
from ops.costs.settings import CostsSettings
from ops.costs.target_tracking import PERIOD_S, TargetTracker
from ops.costs.traffic import DAY_S, Traffic

STEP_S = 10
STEPS_PER_MINUTE = PERIOD_S // STEP_S
UTILIZATION_STEP = 0.002
"""Loads are rounded to this fraction of a server's capacity. It bounds the distinct queues."""

Counts = NDArray[np.int_]


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """The totals of a day, and arrays with one value per minute. Rates are per second."""

    rates: Floats
    rejected_rates: Floats
    p99_ms_by_minute: Floats
    in_service: Counts
    starting: Counts
    instances_min: int
    instances_max: int
    """In service and starting."""
    instances_desired: int
    """The highest count that the policy computed, before its maximum."""
    instance_hours_per_day: float
    """In service and starting: AWS bills both."""
    p50_ms: float
    p99_ms: float
    """Of all answered requests."""
    p99_worst_minute_ms: float
    requests_per_day: float
    rejected_per_day: float
    rejected_fraction: float


def simulate(
    traffic: Traffic, server: Server, scaling: ScalingSettings, costs: CostsSettings
) -> Day:
    """Simulate `traffic` on instances like `server`, whose number `scaling` controls."""
    rates = traffic.rates(np.arange(0.0, DAY_S, STEP_S))
    in_service, starting, desired = _instances(rates, TargetTracker(scaling, costs))
    step = server.capacity * UTILIZATION_STEP
    loads = np.round(rates / in_service / step) * step
    refusals, tails = zip(*(steady_state(server, load) for load in loads.tolist()), strict=True)
    rejected = rates * np.array(refusals)
    answered = _by_minute(rates - rejected)
    slower = _by_minute((rates - rejected)[:, None] * np.array(tails))
    p99_ms_by_minute = np.array(
        [_quantile_ms(*minute, 0.99) for minute in zip(answered, slower, strict=True)]
    )
    return Day(
        rates=_by_minute(rates),
        rejected_rates=_by_minute(rejected),
        p99_ms_by_minute=p99_ms_by_minute,
        in_service=in_service[::STEPS_PER_MINUTE],
        starting=starting[::STEPS_PER_MINUTE],
        instances_min=int(in_service.min()),
        instances_max=int((in_service + starting).max()),
        instances_desired=int(desired.max()),
        instance_hours_per_day=float((in_service + starting).mean()) * 24,
        p50_ms=_quantile_ms(answered.sum(), slower.sum(axis=0), 0.5),
        p99_ms=_quantile_ms(answered.sum(), slower.sum(axis=0), 0.99),
        p99_worst_minute_ms=float(p99_ms_by_minute.max()),
        requests_per_day=float(rates.sum()) * STEP_S,
        rejected_per_day=float(rejected.sum()) * STEP_S,
        rejected_fraction=float(rejected.sum() / rates.sum()),
    )


def _instances(rates: Floats, tracker: TargetTracker) -> tuple[Counts, Counts, Counts]:
    """Return the instances in service, starting and desired in each step of the second day."""
    counts = []
    for minute, rate in enumerate(np.tile(_by_minute(rates), 2).tolist()):
        start_s = minute * PERIOD_S
        for now_s in range(start_s, start_s + PERIOD_S, STEP_S):
            tracker.advance(now_s)
            counts.append((tracker.in_service, tracker.starting, tracker.desired))
        tracker.report_minute(start_s + PERIOD_S, rate * PERIOD_S)
    in_service, starting, desired = np.array(counts[len(rates) :]).T
    return in_service, starting, desired


def _by_minute(values: Floats) -> Floats:
    return np.asarray(values.reshape(-1, STEPS_PER_MINUTE, *values.shape[1:]).mean(axis=1))


def _quantile_ms(answered: float, slower: Floats, fraction: float) -> float:
    """Return the quantile if `slower` of the `answered` requests exceed each of LATENCIES_S."""
    return quantile_s(slower / answered, fraction) * 1000 if answered else 0.0
