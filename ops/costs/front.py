"""The API in front of the endpoint: what its settings let through, and keep warm.

Read from where they are set: .chalice/config.json and resources-STAGE.json.
"""

import math
from dataclasses import dataclass

import numpy as np

from aws import stages
from ops.costs.queueing import lost
from ops.costs.traffic import Traffic

ACCOUNT_CONCURRENCY = 1000
"""Lambda's default for all functions of a region; new accounts have less until they ask.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


@dataclass(frozen=True, slots=True)
class Front:
    """The settings of a stage; None where nothing is set and the account's defaults hold."""

    stage: str
    memory_mb: int
    reserved: int | None
    """Most functions at a time."""
    provisioned: int
    """Functions that are kept initialised."""
    throttle_rate: float | None
    """Requests a second that API Gateway lets through to the stage."""

    @property
    def concurrency(self) -> int:
        return ACCOUNT_CONCURRENCY if self.reserved is None else self.reserved


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Functions at a time, by Little's law (rate x duration), and who is refused for want of one.

    The refusals are of the day's requests, each as if the others let everything through.
    """

    mean: float
    peak: float
    peak_p99: int
    """Functions that suffice for 99 of 100 moments at the peak (Poisson)."""
    throttled: float
    """Requests a day above API Gateway's rate."""
    refused: float
    """Requests a day that find all functions busy (Erlang's loss formula)."""
    spilled: float
    """Part of the requests that find no provisioned function and may start a cold one."""


def concurrency(front: Front, traffic: Traffic, duration_s: float) -> Concurrency:
    """What `traffic` asks of the front, where a request takes a function for `duration_s`."""
    rates = np.array([traffic.rate(minute * 60) for minute in range(1440)])
    load = rates * duration_s
    a_day = 60.0
    over = np.maximum(rates - front.throttle_rate, 0) if front.throttle_rate else 0 * rates
    return Concurrency(
        mean=float(load.mean()),
        peak=float(load.max()),
        peak_p99=_poisson_p99(float(load.max())),
        throttled=float(over.sum() * a_day),
        refused=float((rates * lost(load, front.concurrency)).sum() * a_day),
        spilled=float((rates * lost(load, front.provisioned)).sum() / rates.sum()),
    )


def _poisson_p99(mean: float) -> int:
    """The smallest number that a Poisson variable exceeds in less than 1 of 100 cases."""
    if mean > 1000:  # where the normal distribution is as good, and exp(-mean) is not
        return math.ceil(mean + 2.326 * math.sqrt(mean))
    term = total = math.exp(-mean)
    number = 0
    while total < 0.99:
        number += 1
        term *= mean / number
        total += term
    return number


def read(stage: str) -> Front:
    """The front of `stage`. Raises `SettingsError` where it is not set up, or not JSON."""
    known = stages.read(stage)
    document = stages.config()
    memory = document["stages"][stage].get("lambda_memory_size") or document.get(
        "lambda_memory_size", 128
    )
    function = stages.properties(stage, "APIHandler")
    held = function.get("ProvisionedConcurrencyConfig", {}).get("ProvisionedConcurrentExecutions")
    methods = stages.properties(stage, "RestAPI").get("MethodSettings", [])
    return Front(
        stage=stage,
        memory_mb=int(memory),
        reserved=known.reserved_concurrency,
        provisioned=int(held or 0),
        throttle_rate=next(
            (float(m["ThrottlingRateLimit"]) for m in methods if "ThrottlingRateLimit" in m), None
        ),
    )
