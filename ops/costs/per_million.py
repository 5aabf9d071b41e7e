"""The price of a million predictions at half load: instances, serverless, labelling services."""

import math
from dataclasses import dataclass

from aws.instance_types import architecture
from ops.costs import capacity, quantities
from ops.costs.plan import DAYS_PER_MONTH, Plan

LOAD = 0.5
"""Fraction of an instance's capacity that is used, on average over the month."""
MILLION = 1_000_000
HOSTING = "hosting "
ARCHITECTURES = {"amd64": "x86", "arm64": "Graviton"}
LABELLING = {
    "Amazon Rekognition DetectLabels": "labels amazon rekognition",
    "Google Cloud Vision label detection": "labels google cloud vision",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to classify images. Prices are US dollars per million predictions."""

    name: str
    images_per_s: float | None
    """Capacity of an instance at full load."""
    compute_usd: float | None
    """Of the instances or of serverless; None if there is no endpoint."""
    endpoint_usd: float | None
    """With the data that SageMaker bills."""
    usd: float | None
    """With the API, or the list price of the service; None if the table has no price."""
    basis: str
    """Where the capacity or the price is from."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Predictions below which a serverless endpoint costs less than one instance."""

    instance_type: str
    instance_usd_per_month: float
    memory_gb: int
    ms: float
    """Billed time per prediction in milliseconds."""
    basis: str
    """Where the time is from."""
    per_month: float

    @property
    def per_day(self) -> float:
        return self.per_month / DAYS_PER_MONTH


def offers(plan: Plan) -> list[Offer]:
    """Return the configured and the cheapest instance types, serverless and labelling services."""
    data_usd = _usd(plan, quantities.endpoint(MILLION, plan.costs))
    api_usd = _usd(plan, quantities.api(MILLION, plan.api.memory_mb, plan.costs))

    def endpoint(name: str, rate: float | None, usd: float, basis: str) -> Offer:
        return Offer(name, rate, usd, usd + data_usd, usd + data_usd + api_usd, basis)

    def instance(name: str) -> Offer:
        rate = _capacity(plan, name)
        title = f"{name} ({ARCHITECTURES[architecture(name)]})"
        return endpoint(title, rate.images_per_s, _instance_usd(plan, name), rate.basis)

    def unpriced(title: str) -> Offer:
        return Offer(title, None, None, None, None, f"no price for {plan.prices.region}")

    def serverless() -> Offer:
        limit = break_even(plan)
        title = f"serverless, {plan.serverless_memory_mb // 1024} GB"
        if limit is None:
            return unpriced(title)
        usd = plan.prices.usd(_serverless(limit.memory_gb), limit.ms / 1000) * MILLION
        return endpoint(title, None, usd, f"{limit.ms:g} ms, {limit.basis}")

    def labelling(title: str, name: str) -> Offer:
        if name not in plan.prices.prices:
            return unpriced(title)
        basis = f"list price, {plan.prices.dated(name).as_of}"
        return Offer(title, None, None, None, plan.prices.usd(name, MILLION), basis)

    cheapest = filter(None, (_cheapest(plan, kind) for kind in ARCHITECTURES))
    return [
        *(instance(name) for name in dict.fromkeys((_first(plan), *cheapest))),
        serverless(),
        *(labelling(title, name) for title, name in LABELLING.items()),
    ]


def break_even(plan: Plan) -> BreakEven | None:
    """Compare serverless with one instance of the configured type; None without a price."""
    name = _first(plan)
    memory_gb = plan.serverless_memory_mb // 1024
    price = plan.prices.prices.get(_serverless(memory_gb))
    if price is None or not price.usd(1):
        return None
    if plan.costs.serverless_ms:
        ms, basis = plan.costs.serverless_ms, "serverless_ms in [costs]"
    else:
        slowest = capacity.slowest()
        ms, basis = math.ceil(slowest.cpu_ms_per_image), f"CPU time on {slowest.title}"
    per_month = plan.prices.usd(HOSTING + name, DAYS_PER_MONTH * 24)
    return BreakEven(name, per_month, memory_gb, ms, basis, per_month / price.usd(ms / 1000))


def _first(plan: Plan) -> str:
    return plan.instance_types[0]


def _serverless(memory_gb: int) -> str:
    return f"serverless {memory_gb} GB"


def _usd(plan: Plan, quantity_by_name: dict[str, float]) -> float:
    return sum(plan.prices.usd(name, quantity) for name, quantity in quantity_by_name.items())


def _capacity(plan: Plan, instance_type: str) -> capacity.Capacity:
    rate = plan.measured_rates.get(instance_type)
    if rate is None:
        return capacity.of(instance_type)
    return capacity.Capacity(rate, "given", is_measured=True)


def _instance_usd(plan: Plan, instance_type: str) -> float:
    """The price of the instance hours for a million predictions at half load."""
    per_hour = _capacity(plan, instance_type).images_per_s * LOAD * 3600
    return plan.prices.usd(HOSTING + instance_type, 1) / per_hour * MILLION


def _cheapest(plan: Plan, kind: str) -> str:
    """The cheapest priced type of an architecture, of equal ones a measured one; "" if none is."""
    names = [
        name.removeprefix(HOSTING)
        for name in plan.prices.prices
        if name.startswith(f"{HOSTING}ml.") and architecture(name.removeprefix(HOSTING)) == kind
    ]

    def price(name: str) -> tuple[float, bool]:
        # sizes of a family cost the same, except for rounding errors
        return round(_instance_usd(plan, name), 6), not _capacity(plan, name).is_measured

    return min(names, key=price, default="")
