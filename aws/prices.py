"""AWS's prices: prices.json with its date, region and source, and overrides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.errors import SettingsError
from cli.files import write_atomically

PATH = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per unit. `tiers` are (from quantity per month, price), ascending from 0."""

    unit: str
    tiers: tuple[tuple[float, float], ...]

    def usd(self, quantity: float) -> float:
        """Return the cost of `quantity` units in one month, each tier at its own price."""
        ends = [start for start, _ in self.tiers[1:]] + [float("inf")]
        return sum(
            (min(quantity, end) - start) * price
            for (start, price), end in zip(self.tiers, ends, strict=True)
            if quantity > start
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """A table of prices and its origin."""

    region: str
    as_of: str
    source: str
    table: dict[str, Price]

    def price(self, name: str) -> Price:
        """Return the price of `name`. Raises SettingsError if it is unknown."""
        if name not in self.table:
            raise SettingsError(
                f'No price of "{name}": add "{name}" = US_DOLLARS to [costs.prices] in '
                "settings.toml, or run `python -m ops costs --refresh`."
            )
        return self.table[name]

    def usd(self, name: str, quantity: float) -> float:
        """Return the cost of `quantity` units of `name` in one month."""
        return self.price(name).usd(quantity)


def read(path: Path = PATH, overrides: Mapping[str, float] | None = None) -> Prices:
    """Read a table and replace the prices in `overrides`. Raises SettingsError if it is invalid."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        table = {
            name: Price(entry["unit"], tuple((float(a), float(b)) for a, b in entry["tiers"]))
            for name, entry in document["prices"].items()
        }
        prices = Prices(document["region"], document["as_of"], document["source"], table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is not a table of prices: {error!r}.") from None
    for name, price in table.items():
        starts = [start for start, _ in price.tiers]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise SettingsError(f'{path}: the tiers of "{name}" must ascend from 0.')
    return override(prices, overrides or {})


def instance_usd_per_hour(
    kind: str, instance_type: str, overrides: Mapping[str, float] | None = None
) -> float | None:
    """Return the hourly on-demand price of an instance type, or None if it is unknown.

    `kind` is hosting, training or ec2.
    """
    price = read(overrides=overrides).table.get(f"{kind} {instance_type}")
    return None if price is None else price.usd(1)


def override(prices: Prices, overrides: Mapping[str, float]) -> Prices:
    """Return `prices` with flat prices replaced, and named in its source."""
    if not overrides:
        return prices
    table = dict(prices.table)
    for name, usd in overrides.items():
        if not isinstance(usd, int | float) or usd < 0:
            raise SettingsError(f'[costs.prices]: "{name}" is {usd!r}, which is not a price.')
        unit = table[name].unit if name in table else "hour"
        table[name] = Price(unit, ((0.0, float(usd)),))
    source = f"{prices.source}; overridden by settings: {', '.join(overrides)}"
    return replace(prices, table=table, source=source)


def write(prices: Prices, path: Path) -> None:
    """Write the table with one price per line, which keeps diffs short."""
    lines = [
        f"    {json.dumps(name)}: "
        + json.dumps({"unit": price.unit, "tiers": [list(tier) for tier in price.tiers]})
        for name, price in prices.table.items()
    ]
    head = {"region": prices.region, "as_of": prices.as_of, "source": prices.source}
    text = json.dumps(head, indent=2)[:-2] + ',\n  "prices": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    write_atomically(path, text)
