"""What the window cost, at the prices of training/costs/prices.json: an estimate, not the bill.

Sums of what CloudWatch measured, at the first tier's price. Not in it: data transfer, logs, metrics
and alarms, S3, free tiers, taxes; the initialisation of functions, which Duration leaves out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from training import settings
from training.costs import prices
from training.costs.bill import DAYS
from training.costs.front import Front
from training.costs.prices import Prices
from training.watch.fleet import Fleet
from training.watch.readings import Column, Readings

MONTH_H = DAYS * 24


@dataclass(frozen=True, slots=True)
class Item:
    """One line: so many units, so many US dollars; None where the table has no such price."""

    name: str
    quantity: float
    unit: str
    usd: float | None


@dataclass(frozen=True, slots=True)
class Spending:
    """The items of a window of `hours`, and where the prices come from."""

    items: list[Item]
    hours: float
    region: str
    as_of: str

    @property
    def usd(self) -> float:
        return sum(item.usd or 0.0 for item in self.items)

    @property
    def usd_per_month(self) -> float:
        """US dollars if an average month went on like this window."""
        return self.usd / self.hours * MONTH_H


def table() -> Prices:
    """The prices of the repository, with those of [costs.prices] in place of them."""
    return prices.read(overrides=settings.table("costs").get("prices", {}))


def of(
    readings: Readings,
    instances: list[Column],
    fleet: Fleet | None,
    front: Front,
    known: Prices,
) -> Spending:
    """What the stage cost in the window of `readings`."""
    hours = readings.window.seconds / 3600
    quantities: dict[str, float] = {}
    if fleet is not None and fleet.instance_type is not None:
        each = readings.window.period_s / 3600
        running = sum(one for one in instances if one is not None) * each
        quantities[f"hosting {fleet.instance_type}"] = running
    quantities |= _functions(readings, front)
    quantities["api gateway requests"] = readings.total("gateway_requests")
    return Spending(_items(quantities, known), hours, known.region, known.as_of)


def _functions(readings: Readings, front: Front) -> Mapping[str, float]:
    calls, gb = readings.total("function_calls"), front.memory_mb / 1024
    gb_seconds = readings.total("function_ms") / 1000 * gb
    # Provisioned functions are kept for a price of their own, and run for less.
    warm = min(readings.total("warm_calls") / calls, 1.0) if calls else 0.0
    found = {"lambda requests": calls, "lambda duration arm64": gb_seconds * (1 - warm)}
    if front.provisioned:
        found["lambda duration arm64 on provisioned"] = gb_seconds * warm
        found["lambda provisioned arm64"] = front.provisioned * gb * readings.window.seconds
    return found


def _items(quantities: Mapping[str, float], known: Prices) -> list[Item]:
    found = []
    for name, quantity in quantities.items():
        price = known.table.get(name)
        unit = price.unit if price else "hour"
        found.append(Item(name, quantity, unit, price.usd(quantity) if price else None))
    return found
