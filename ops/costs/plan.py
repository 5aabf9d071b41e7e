"""The complete estimate: instance types, scaling targets, Lambda functions, a training job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from aws.instance_types import vcpus
from aws.prices import Prices
from aws.settings import FitSettings, ScalingSettings
from ops.costs import bill
from ops.costs.bill import Item
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
    """One instance type under target tracking, simulated and priced."""

    instance_type: str
    rate_per_instance: float
    rate_measured: bool
    """Whether the rate was given, from a load test. Otherwise it is assumed from the vCPUs."""
    target_per_minute: float
    day: Day
    items: list[Item]

    @property
    def usd_per_month(self) -> float:
        return sum(item.usd for item in self.items)


@dataclass(frozen=True)
class Plan:
    """The traffic, the limits and the settings of an estimate, and its results."""

    traffic: Traffic
    api: ApiStage
    instance_types: Sequence[str]
    """The first one is configured, with the target of `scaling`."""
    measured_rates: Mapping[str, float]
    scaling: ScalingSettings
    fit: FitSettings
    costs: CostsSettings
    loadtest: LoadTestSettings
    prices: Prices

    @cached_property
    def functions(self) -> FunctionLoad:
        """The Lambda functions that the traffic needs."""
        return function_load(self.api, self.traffic, self.costs.lambda_s)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """All instance types. The target is the same fraction of each one's rate."""
        utilization = self.scaling.target_per_minute / self._rate(self.instance_types[0])
        maximum = self.scaling.max_instances
        return [
            self._candidate(name, utilization * self._rate(name), maximum)
            for name in self.instance_types
        ]

    @cached_property
    def targets(self) -> dict[str, Candidate]:
        """The first instance type under several targets, without a maximum of instances."""
        first = self.instance_types[0]
        targets = {
            "configured": self.scaling.target_per_minute,
            "AWS rule": self.loadtest.target_per_minute(self._rate(first)),
            **{f"tutorials: {target:g}": target for target in TUTORIAL_TARGETS},
        }
        return {name: self._candidate(first, targets[name], UNLIMITED) for name in targets}

    def _rate(self, instance_type: str) -> float:
        assumed = self.costs.rate_per_vcpu * vcpus(instance_type)
        return self.measured_rates.get(instance_type, assumed)

    def _candidate(self, instance_type: str, target: float, max_instances: int) -> Candidate:
        rate, workers = self._rate(instance_type), vcpus(instance_type)
        server = Server(workers, workers / rate, self.costs.queue)
        update = {"target_per_minute": target, "max_instances": max_instances}
        scaling = self.scaling.model_copy(update=update)
        day = simulate(self.traffic, server, scaling, self.costs)
        items = bill.monthly(instance_type, day, self.api, self.functions, self.costs, self.prices)
        measured = instance_type in self.measured_rates
        return Candidate(instance_type, rate, measured, target, day, items)
