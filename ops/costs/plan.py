"""The complete estimate: instance types, scaling targets, a monthly bill, a training job.

The bill does not include free tiers, taxes, support, S3, the container registry, alarms and
dashboards, the container's logs, and what image hosts charge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aws.instance_types import vcpus
from aws.prices import Prices
from aws.settings import FitSettings, ScalingSettings
from ops.costs import quantities
from ops.costs.concurrency import ApiStage, FunctionLoad, function_load
from ops.costs.queueing import Server
from ops.costs.settings import CostsSettings
from ops.costs.simulation import Day, simulate
from ops.costs.traffic import DAY_S, Traffic
from ops.loadtest.settings import LoadTestSettings

UNLIMITED = 1_000_000
"""A maximum of instances that no target reaches."""
TUTORIAL_TARGETS = (10.0, 40.0, 100.0)
"""Targets that tutorials set as if they were concurrent requests."""
DAYS_PER_MONTH = 365 / 12


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: units per month and US dollars."""

    name: str
    quantity: float
    unit: str
    usd: float


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

    @property
    def usd_per_million(self) -> float:
        """The price of a million answered predictions."""
        answered = (self.day.requests_per_day - self.day.rejected_per_day) * DAYS_PER_MONTH
        return self.usd_per_month / answered * 1e6


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
    serverless_memory_mb: int = 3072

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

    @property
    def first(self) -> Candidate:
        """The configured instance type."""
        return self.candidates[0]

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

    def training_job(self) -> dict[str, Any]:
        """Price a job of `job_hours` on the instances of [fit]. Disks cost the same on spot."""
        fit, hours = self.fit, self.costs.job_hours
        compute = self.prices.usd(f"training {fit.instance_type}", hours) * fit.instance_count
        months = hours * fit.instance_count / (DAYS_PER_MONTH * 24)
        volume = self.prices.usd("training volume", fit.volume_gb * months)
        return {
            "instance_type": fit.instance_type,
            "instances": fit.instance_count,
            "hours": hours,
            "on_demand_usd": compute + volume,
            "spot_usd": compute * (1 - self.costs.spot_saving) + volume,
        }

    def _rate(self, instance_type: str) -> float:
        assumed = self.costs.rate_per_vcpu * vcpus(instance_type)
        return self.measured_rates.get(instance_type, assumed)

    def _candidate(self, instance_type: str, target: float, max_instances: int) -> Candidate:
        rate, workers = self._rate(instance_type), vcpus(instance_type)
        server = Server(workers, workers / rate, self.costs.queue)
        update = {"target_per_minute": target, "max_instances": max_instances}
        scaling = self.scaling.model_copy(update=update)
        day = simulate(self.traffic, server, scaling, self.costs)
        measured = instance_type in self.measured_rates
        items = self._monthly_bill(instance_type, day)
        return Candidate(instance_type, rate, measured, target, day, items)

    def _monthly_bill(self, instance_type: str, day: Day) -> list[Item]:
        """Price a month of such days, as if the API rejected no request."""
        api = self.api
        requests = day.requests_per_day * DAYS_PER_MONTH
        billed = {
            f"hosting {instance_type}": day.instance_hours_per_day * DAYS_PER_MONTH,
            **quantities.endpoint(requests, self.costs),
            **quantities.api(
                requests,
                api.memory_mb,
                self.costs,
                on_provisioned=1 - self.functions.spillover if api.provisioned else 0.0,
                provisioned_gb_s=api.provisioned * api.memory_mb / 1024 * DAY_S * DAYS_PER_MONTH,
            ),
        }
        return [
            Item(name, quantity, self.prices.price(name).unit, self.prices.usd(name, quantity))
            for name, quantity in billed.items()
        ]
