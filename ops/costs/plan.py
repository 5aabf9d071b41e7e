"""The whole answer: each instance type, each reading of the target, the front, the training job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from aws.prices import Prices
from aws.settings import ScalingSettings
from ops.costs import bill, front
from ops.costs.bill import Item, Job, Request
from ops.costs.front import Concurrency, Front
from ops.costs.instances import Instance
from ops.costs.queueing import Server
from ops.costs.simulation import Day, simulate
from ops.costs.tracking import Delays
from ops.costs.traffic import Traffic

UNLIMITED = 1_000_000
"""More instances than anybody gets, to see what a target asks for."""
WRITE_UPS = (10.0, 40.0, 100.0)
"""Targets that write-ups set as if they were simultaneous requests."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One instance type under the configured target tracking."""

    instance: Instance
    scaling: ScalingSettings
    day: Day
    items: list[Item]

    @property
    def usd(self) -> float:
        return sum(item.usd for item in self.items)

    @property
    def usd_per_million(self) -> float:
        return bill.per_million(self.items, self.day)


@dataclass(frozen=True, slots=True)
class Reading:
    """A target on the first instance type, without a maximum: what it asks for and costs."""

    name: str
    target_per_minute: float
    day: Day
    instances_usd: float

    @property
    def seconds_between(self) -> float:
        """Seconds between two requests to one instance at the target."""
        return 60 / self.target_per_minute


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `costs` tells."""

    traffic: Traffic
    front: Front
    functions: Concurrency
    request: Request
    choices: list[Choice]
    readings: list[Reading]
    job: Job
    prices: Prices
    safety: float


def make(
    traffic: Traffic,
    stage: Front,
    request: Request,
    instances: Sequence[Instance],
    scaling: ScalingSettings,
    delays: Delays,
    safety: float,
    job: Job,
    prices: Prices,
) -> Plan:
    """Simulate and price the traffic; the first of `instances` is the configured one."""
    functions = front.concurrency(stage, traffic, request.lambda_s)
    known = list[tuple[Server, ScalingSettings, Day]]()

    def simulated(server: Server, policy: ScalingSettings) -> Day:
        for other_server, other_policy, day in known:
            if (server, policy) == (other_server, other_policy):
                return day  # types of the same rate, and targets that are the same
        known.append((server, policy, simulate(traffic, server, policy, delays)))
        return known[-1][2]

    choices = list[Choice]()
    for instance in instances:
        own = _scaled(scaling, instance.rate / instances[0].rate)
        day = simulated(instance.server, own)
        items = bill.monthly(instance.type, day, stage, functions, request, prices)
        choices.append(Choice(instance, own, day, items))
    first = instances[0]
    targets = {
        "as configured": scaling.target_per_minute,
        "by AWS's rule": first.rate * safety * 60,
        **{f"{target:g}, as in write-ups": target for target in WRITE_UPS},
    }
    readings = list[Reading]()
    for name, target in targets.items():
        free = replace(scaling, target_per_minute=target, max_instances=UNLIMITED)
        day = simulated(first.server, free)
        usd = prices.usd(f"hosting {first.type}", day.instance_hours * bill.DAYS)
        readings.append(Reading(name, target, day, usd))
    return Plan(traffic, stage, functions, request, choices, readings, job, prices, safety)


def _scaled(scaling: ScalingSettings, factor: float) -> ScalingSettings:
    """The same part of an instance's rate as target, on an instance of another rate."""
    return replace(scaling, target_per_minute=scaling.target_per_minute * factor)
