"""The complete estimate: instance types, scaling targets, Lambda functions, a training job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws.instance_types import vcpus
from aws.prices import Prices
from aws.settings import FitSettings, ScalingSettings
from ops.costs import bill
from ops.costs.bill import Item, TrainingJob
from ops.costs.concurrency import ApiStage, FunctionLoad, function_load
from ops.costs.queueing import Server
from ops.costs.settings import CostsSettings
from ops.costs.simulation import Day, simulate
from ops.costs.traffic import Traffic
from ops.loadtest.settings import LoadTestSettings

UNLIMITED = 1_000_000
"""A maximum of instances that no target reaches."""
TUTORIAL_TARGETS = (10.0, 40.0, 100.0)
"""Targets that tutorials set as if they were concurrent requests."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instance type under the configured target tracking."""

    instance_type: str
    server: Server
    measured: bool
    """Whether the rate was given, from a load test. Otherwise it is assumed from the vCPUs."""
    scaling: ScalingSettings
    day: Day
    items: list[Item]

    @property
    def rate(self) -> float:
        return self.server.capacity

    @property
    def usd(self) -> float:
        return sum(item.usd for item in self.items)

    @property
    def usd_per_million(self) -> float:
        return bill.usd_per_million(self.items, self.day)


@dataclass(frozen=True, slots=True)
class Target:
    """A scaling target on the first instance type, without a maximum of instances."""

    name: str
    per_minute: float
    day: Day
    instances_usd: float

    @property
    def seconds_between_requests(self) -> float:
        """Seconds between two requests to one instance at the target."""
        return 60 / self.per_minute


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `costs` reports. The first candidate is the configured one."""

    traffic: Traffic
    api: ApiStage
    functions: FunctionLoad
    costs: CostsSettings
    candidates: list[Candidate]
    targets: list[Target]
    job: TrainingJob
    prices: Prices
    loadtest: LoadTestSettings


def make(
    traffic: Traffic,
    api: ApiStage,
    instance_types: Sequence[str],
    measured_rates: Mapping[str, float],
    scaling: ScalingSettings,
    fit: FitSettings,
    costs: CostsSettings,
    loadtest: LoadTestSettings,
    prices: Prices,
) -> Plan:
    """Simulate and price `traffic` on each of `instance_types`, whose first is the configured one.

    `scaling` holds the target of that one. The others get the same fraction of their rate.
    """
    functions = function_load(api, traffic, costs.lambda_s)
    days: dict[tuple[Server, float, int], Day] = {}

    def simulated(server: Server, scaling: ScalingSettings) -> Day:
        # some types share their rate, and some targets are equal
        key = (server, scaling.target_per_minute, scaling.max_instances)
        if key not in days:
            days[key] = simulate(traffic, server, scaling, costs)
        return days[key]

    servers = {name: _server(name, measured_rates, costs) for name in instance_types}
    first_type = instance_types[0]
    first = servers[first_type]
    candidates = []
    for name, server in servers.items():
        target = scaling.target_per_minute * server.capacity / first.capacity
        scaled = scaling.model_copy(update={"target_per_minute": target})
        day = simulated(server, scaled)
        items = bill.monthly(name, day, api, functions, costs, prices)
        candidates.append(Candidate(name, server, name in measured_rates, scaled, day, items))
    targets = []
    for name, per_minute in {
        "configured": scaling.target_per_minute,
        "AWS rule": loadtest.target_per_minute(first.capacity),
        **{f"tutorials: {target:g}": target for target in TUTORIAL_TARGETS},
    }.items():
        update = {"target_per_minute": per_minute, "max_instances": UNLIMITED}
        day = simulated(first, scaling.model_copy(update=update))
        usd = prices.usd(f"hosting {first_type}", day.instance_hours * bill.DAYS_PER_MONTH)
        targets.append(Target(name, per_minute, day, usd))
    job = bill.training_job(fit, costs, prices)
    return Plan(traffic, api, functions, costs, candidates, targets, job, prices, loadtest)


def _server(
    instance_type: str, measured_rates: Mapping[str, float], costs: CostsSettings
) -> Server:
    """One worker per vCPU, which together take exactly the measured or assumed rate."""
    workers = vcpus(instance_type)
    rate = measured_rates.get(instance_type, costs.rate_per_vcpu * workers)
    return Server(workers, workers / rate, costs.queue)
