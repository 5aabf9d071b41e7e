"""The API stage in front of the endpoint: its limits, and the Lambda concurrency it needs.

The limits are those of .chalice/config.json and resources-STAGE.json.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from aws import stages
from ops.costs.queueing import loss
from ops.costs.traffic import MINUTES_S, Traffic

ACCOUNT_CONCURRENCY = 1000
"""Lambda's default for all functions of a region. New accounts start with less.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


@dataclass(frozen=True, slots=True)
class ApiStage:
    """The limits of a stage. None: not set, so the account's default applies."""

    stage: str
    memory_mb: int
    reserved: int | None
    """Maximum concurrent functions."""
    provisioned: int
    """Functions that are kept initialized."""
    throttle_rate: float | None
    """Requests per second that API Gateway accepts for the stage."""

    @property
    def concurrency(self) -> int:
        return ACCOUNT_CONCURRENCY if self.reserved is None else self.reserved


@dataclass(frozen=True, slots=True)
class FunctionLoad:
    """Concurrent functions, and the requests that exceed a limit, each limit taken alone."""

    mean: float
    peak: float
    """Mean number during the busiest minute: rate x duration (Little's law)."""
    peak_p99: int
    """Functions that suffice during 99 % of the busiest minute (Poisson)."""
    throttled_per_day: float
    """Requests above API Gateway's rate."""
    rejected_per_day: float
    """Requests that find all functions busy."""
    spillover: float
    """Fraction of requests that find no provisioned function and may wait for a cold start."""


def function_load(api: ApiStage, traffic: Traffic, duration_s: float) -> FunctionLoad:
    """Compute the load of `traffic` if each request keeps a function busy for `duration_s`."""
    rates = traffic.rates(MINUTES_S)
    load = rates * duration_s
    limit = np.inf if api.throttle_rate is None else api.throttle_rate
    return FunctionLoad(
        mean=float(load.mean()),
        peak=float(load.max()),
        peak_p99=int(stats.poisson.ppf(0.99, load.max())),
        throttled_per_day=float(np.maximum(rates - limit, 0).sum() * 60),
        rejected_per_day=float((rates * loss(load, api.concurrency)).sum() * 60),
        spillover=float((rates * loss(load, api.provisioned)).sum() / rates.sum()),
    )


def read(name: str) -> ApiStage:
    """Read the limits of a stage. Raise SettingsError if it is missing or not valid."""
    stage = stages.read(name)
    methods = stages.properties(name, "RestAPI").get("MethodSettings", [])
    throttle_rates = (method.get("ThrottlingRateLimit") for method in methods)
    return ApiStage(
        stage=name,
        memory_mb=stage.memory_mb,
        reserved=stage.reserved_concurrency,
        provisioned=stage.provisioned_concurrency or 0,
        throttle_rate=next((float(rate) for rate in throttle_rates if rate is not None), None),
    )
