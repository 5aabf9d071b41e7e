"""List prices: a table with its region, date and source, and the user's overrides."""

import json
from collections.abc import Mapping
from pathlib import Path

import pydantic

from cli.errors import SettingsError
from cli.files import write_atomically

PATH = Path(__file__).with_name("prices.json")

Tiers = tuple[tuple[float, float], ...]
"""Pairs of (first unit of a month, US dollars per unit), ascending from unit 0."""


class Price(pydantic.BaseModel):
    """The price of a unit, which depends on how many were used before in the month.

    `as_of` and `source` are given if they differ from those of the table.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    unit: str
    tiers: Tiers
    as_of: str = ""
    source: str = ""

    @pydantic.field_validator("tiers")
    @classmethod
    def _ascending_from_0(cls, tiers: Tiers) -> Tiers:
        starts = [start for start, _ in tiers]
        if starts[:1] != [0] or starts != sorted(set(starts)):
            raise ValueError("tiers must ascend from 0")
        return tiers

    def usd(self, quantity: float) -> float:
        """Return the price of `quantity` units in one month, each tier at its own rate."""
        ends = [start for start, _ in self.tiers[1:]] + [float("inf")]
        return sum(
            (min(quantity, end) - start) * price
            for (start, price), end in zip(self.tiers, ends, strict=True)
            if quantity > start
        )


class Prices(pydantic.BaseModel):
    """The table of one region; `as_of` is the date of its prices."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    region: str
    as_of: str
    source: str
    prices: dict[str, Price]

    def price(self, name: str) -> Price:
        """Return the price of `name`. Raise SettingsError if the table has none."""
        if name not in self.prices:
            raise SettingsError(
                f'There is no price for "{name}". Give one with --price "{name}=USD" or in '
                "[costs.prices] of settings.toml, or run `python -m ops costs --refresh`."
            )
        return self.prices[name]

    def usd(self, name: str, quantity: float) -> float:
        """Return the price of `quantity` units of `name` in one month."""
        return self.price(name).usd(quantity)

    def dated(self, name: str) -> Price:
        """Return the price of `name` with its date and source, for use outside this table."""
        price = self.price(name)
        update = {"as_of": price.as_of or self.as_of, "source": price.source or self.source}
        return price.model_copy(update=update)

    def override(self, usd_by_name: Mapping[str, float]) -> "Prices":
        """Return a copy with flat prices in US dollars per unit, which its source mentions."""
        if not usd_by_name:
            return self
        prices = dict(self.prices)
        for name, usd in usd_by_name.items():
            if not 0 <= usd < float("inf"):
                raise SettingsError(f'The price of "{name}" is {usd:g}: it must be 0 or more.')
            # names that the table lacks are instance types, which are billed by the hour
            unit = prices[name].unit if name in prices else "hour"
            prices[name] = Price(unit=unit, tiers=((0.0, usd),))
        source = f"{self.source}; overridden by settings: {', '.join(usd_by_name)}"
        return self.model_copy(update={"prices": prices, "source": source})


def read(path: Path = PATH) -> Prices:
    """Read a table of prices. Raise SettingsError if `path` is not one."""
    try:
        return Prices.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingsError(f"{path} is not a table of prices: {place} {first['msg']}.") from None


def unknown(kind: str, instance_type: str) -> str:
    """Return a sentence for users about a price that the table lacks. `kind` is as below."""
    return (
        f"The price of {instance_type} ({kind}) is unknown: "
        f'aws/{PATH.name} has no "{kind} {instance_type}". Add it from AWS\'s price pages.'
    )


def instance_usd_per_hour(kind: str, instance_type: str) -> float | None:
    """Return the hourly on-demand price of an instance type, or None if it is unknown.

    `kind` is hosting, training or ec2. Show users `unknown` instead of None.
    """
    price = read().prices.get(f"{kind} {instance_type}")
    return None if price is None else price.usd(1)


def at_most(kind: str, instance_type: str, hours: float) -> dict[str, float | str | None]:
    """Return the cost of `hours` on demand as `cost_at_most_usd`; None with a `cost_note` if the
    price is unknown. `kind` is as above."""
    price = instance_usd_per_hour(kind, instance_type)
    if price is None:
        return {"cost_at_most_usd": None, "cost_note": unknown(kind, instance_type)}
    return {"cost_at_most_usd": round(price * hours, 2)}


def write(prices: Prices, path: Path) -> None:
    """Write a table with one price per line, so that a diff shows what changed."""
    document = prices.model_dump(mode="json", exclude_defaults=True)
    lines = [
        f"    {json.dumps(name)}: {json.dumps(price)}"
        for name, price in document.pop("prices").items()
    ]
    head = json.dumps(document, indent=2).removesuffix("\n}")
    write_atomically(path, head + ',\n  "prices": {\n' + ",\n".join(lines) + "\n  }\n}\n")
