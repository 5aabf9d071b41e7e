"""A month's bill by item, at the prices of the table.

Not on it: free tiers, taxes, support, S3, the container registry, alarms and dashboards, the logs
of the container, and what the hosts of the photos charge.
"""

from dataclasses import dataclass

from aws.prices import Prices
from ops.costs.front import Concurrency, Front
from ops.costs.simulation import Day
from ops.costs.traffic import DAY_S

DAYS = 365 / 12
"""Days of an average month."""
GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill: so many units a month, so many US dollars."""

    name: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True)
class Request:
    """What one request moves and takes on average."""

    lambda_s: float
    photo_bytes: float
    answer_bytes: float
    log_bytes: float
    log_months: float
    """How long its log line is kept."""


def monthly(
    instance_type: str,
    day: Day,
    front: Front,
    functions: Concurrency,
    request: Request,
    prices: Prices,
) -> list[Item]:
    """The bill of a month of such days, as if the API let every request through."""
    requests = day.requests * DAYS
    gb_seconds = requests * request.lambda_s * front.memory_mb / 1024
    kept = front.provisioned * front.memory_mb / 1024 * DAY_S * DAYS
    on_provisioned = gb_seconds * (1 - functions.spilled) if front.provisioned else 0.0
    logged_gb = requests * request.log_bytes / GB
    quantities = {
        f"hosting {instance_type}": day.instance_hours * DAYS,
        "hosting data in": requests * request.photo_bytes / GB,
        "hosting data out": requests * request.answer_bytes / GB,
        "lambda requests": requests,
        "lambda duration arm64": gb_seconds - on_provisioned,
        "lambda duration arm64 on provisioned": on_provisioned,
        "lambda provisioned arm64": kept,
        "api gateway requests": requests,
        "data transfer out": requests * request.answer_bytes / GB,
        "logs ingested": logged_gb,
        "logs stored": logged_gb * request.log_months,
    }
    return [
        Item(name, quantity, prices.price(name).unit, prices.usd(name, quantity))
        for name, quantity in quantities.items()
    ]


def per_million(items: list[Item], day: Day) -> float:
    """US dollars for a million answered predictions."""
    answered = (day.requests - day.refused) * DAYS
    return sum(item.usd for item in items) / answered * 1e6 if answered else float("inf")


@dataclass(frozen=True, slots=True)
class Job:
    """What a training job costs in US dollars, on demand and on spot instances."""

    instance_type: str
    instances: int
    hours: float
    on_demand_usd: float
    spot_usd: float


def training_job(
    instance_type: str,
    instances: int,
    hours: float,
    volume_gb: float,
    spot_saving: float,
    prices: Prices,
) -> Job:
    """The cost of a job; managed spot is billed for the seconds that AWS says it used."""
    compute = prices.usd(f"training {instance_type}", hours) * instances
    volume = prices.usd("training volume", volume_gb * instances * hours / (DAYS * 24))
    return Job(
        instance_type=instance_type,
        instances=instances,
        hours=hours,
        on_demand_usd=compute + volume,
        spot_usd=compute * (1 - spot_saving) + volume,
    )
