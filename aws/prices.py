"""What AWS asks for each thing: a table with its date, region and source, and overrides.

`prices.json` holds tiers: [from this quantity a month on, US dollars a unit].
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cli.errors import SettingsError

PATH = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a unit, by the quantity of a month: (from, price), ascending from 0."""

    unit: str
    tiers: tuple[tuple[float, float], ...]

    def usd(self, quantity: float) -> float:
        """What `quantity` units in one month cost, each tier at its own price."""
        ends = [start for start, _ in self.tiers[1:]] + [float("inf")]
        return sum(
            (min(quantity, end) - start) * price
            for (start, price), end in zip(self.tiers, ends, strict=True)
            if quantity > start
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """The table, and where it comes from."""

    region: str
    as_of: str
    source: str
    table: dict[str, Price]

    def price(self, name: str) -> Price:
        """The price of `name`. Raises `SettingsError` that says how to give one."""
        if name not in self.table:
            raise SettingsError(
                f'no price of {name!r}: add "{name}" = US dollars to [costs.prices] in '
                "settings.toml, or run costs --refresh"
            )
        return self.table[name]

    def usd(self, name: str, quantity: float) -> float:
        """What `quantity` units of `name` in one month cost."""
        return self.price(name).usd(quantity)


def read(path: Path = PATH, overrides: Mapping[str, float] | None = None) -> Prices:
    """The table at `path`, with flat prices of `overrides` in place of its own.

    Raises `SettingsError` where it is not such a table.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        table = {
            name: Price(entry["unit"], tuple((float(a), float(b)) for a, b in entry["tiers"]))
            for name, entry in document["prices"].items()
        }
        found = Prices(document["region"], document["as_of"], document["source"], table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is no table of prices: {error!r}") from None
    for name, price in table.items():
        starts = [start for start, _ in price.tiers]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise SettingsError(f"{path}: the tiers of {name!r} do not ascend from 0")
    return override(found, overrides or {})


def override(prices: Prices, overrides: Mapping[str, float]) -> Prices:
    """`prices` with some replaced, and the source that says so."""
    if not overrides:
        return prices
    table = dict(prices.table)
    for name, usd in overrides.items():
        if not isinstance(usd, int | float) or usd < 0:
            raise SettingsError(f"[costs.prices] {name!r} is {usd!r}, not a price")
        unit = table[name].unit if name in table else "hour"
        table[name] = Price(unit, ((0.0, float(usd)),))
    source = f"{prices.source}; overridden by settings: {', '.join(overrides)}"
    return replace(prices, table=table, source=source)


def write(prices: Prices, path: Path) -> None:
    """Write the table, one price a line, so that a diff shows what changed."""
    lines = [
        f"    {json.dumps(name)}: "
        + json.dumps({"unit": price.unit, "tiers": [list(tier) for tier in price.tiers]})
        for name, price in prices.table.items()
    ]
    head = {"region": prices.region, "as_of": prices.as_of, "source": prices.source}
    text = json.dumps(head, indent=2)[:-2] + ',\n  "prices": {\n' + ",\n".join(lines) + "\n  }\n}\n"
    path.write_text(text, encoding="utf-8")
