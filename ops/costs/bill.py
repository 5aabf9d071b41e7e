"""A month's bill by item.

Not included: free tiers, taxes, support, S3, the container registry, alarms and dashboards, the
container's logs, and what image hosts charge.
"""

from dataclasses import dataclass
from typing import Any

from aws.prices import Prices
from aws.settings import FitSettings
from ops.costs.concurrency import ApiStage, FunctionLoad
from ops.costs.settings import CostsSettings
from ops.costs.simulation import Day
from ops.costs.traffic import DAY_S

DAYS_PER_MONTH = 365 / 12
GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: units per month and US dollars."""

    name: str
    quantity: float
    unit: str
    usd: float


def monthly(
    instance_type: str,
    day: Day,
    api: ApiStage,
    functions: FunctionLoad,
    costs: CostsSettings,
    prices: Prices,
) -> list[Item]:
    """Price a month of such days, as if the API rejected no request."""
    requests = day.requests_per_day * DAYS_PER_MONTH
    memory_gb = api.memory_mb / 1024
    gb_seconds = requests * costs.lambda_s * memory_gb
    on_provisioned = gb_seconds * (1 - functions.spillover) if api.provisioned else 0.0
    responses_gb = requests * costs.answer_kb * 1024 / GB
    logs_gb = requests * costs.log_bytes / GB
    quantities = {
        f"hosting {instance_type}": day.instance_hours_per_day * DAYS_PER_MONTH,
        "hosting data in": requests * costs.photo_kb * 1024 / GB,
        "hosting data out": responses_gb,
        "lambda requests": requests,
        "lambda duration arm64": gb_seconds - on_provisioned,
        "lambda duration arm64 on provisioned": on_provisioned,
        "lambda provisioned arm64": api.provisioned * memory_gb * DAY_S * DAYS_PER_MONTH,
        "api gateway requests": requests,
        "data transfer out": responses_gb,
        "logs ingested": logs_gb,
        "logs stored": logs_gb * costs.log_days / DAYS_PER_MONTH,
    }
    return [
        Item(name, quantity, prices.price(name).unit, prices.usd(name, quantity))
        for name, quantity in quantities.items()
    ]


def usd_per_million(usd_per_month: float, day: Day) -> float:
    """Return the price of a million answered predictions in US dollars."""
    answered = (day.requests_per_day - day.rejected_per_day) * DAYS_PER_MONTH
    return usd_per_month / answered * 1e6


def training_job(fit: FitSettings, costs: CostsSettings, prices: Prices) -> dict[str, Any]:
    """Price a job of `job_hours` on the instances of [fit]. Spot does not make disks cheaper."""
    compute = prices.usd(f"training {fit.instance_type}", costs.job_hours) * fit.instance_count
    months = costs.job_hours * fit.instance_count / (DAYS_PER_MONTH * 24)
    volume = prices.usd("training volume", fit.volume_gb * months)
    return {
        "instance_type": fit.instance_type,
        "instances": fit.instance_count,
        "hours": costs.job_hours,
        "on_demand_usd": compute + volume,
        "spot_usd": compute * (1 - costs.spot_saving) + volume,
    }
