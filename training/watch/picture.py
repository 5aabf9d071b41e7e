"""All that is known of a stage in a window, put together once for the terminal, JSON and advice."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from training.cloud.account import Account
from training.costs import front
from training.costs.front import Front
from training.watch import fleet as fleets
from training.watch import place as places
from training.watch import readings, series, spending
from training.watch.fleet import Fleet
from training.watch.place import Place
from training.watch.readings import Column, Readings, Window
from training.watch.spending import Spending


@dataclass(frozen=True, slots=True)
class Picture:
    """A stage in a window; `fleet` is None where it has no endpoint."""

    stage: str
    region: str
    place: Place
    front: Front
    readings: Readings
    fleet: Fleet | None
    instances: list[Column]
    spending: Spending

    def share(self, part: str, of: str) -> float | None:
        """Series `part` as a part of 1 of series `of`, None where that is 0."""
        whole = self.readings.total(of)
        return self.readings.total(part) / whole if whole else None

    def per_minute(self, key: str) -> list[Column]:
        """The columns of a sum, for each minute of theirs."""
        minutes = self.readings.window.period_s / 60
        return [None if one is None else one / minutes for one in self.readings.columns[key]]

    def problems(self) -> list[tuple[str, float]]:
        """The types of problems that happened and how often, the most frequent first."""
        total = self.readings.total
        counts = [(kind, total(f"problem {kind}")) for kind in series.PROBLEMS]
        return sorted((one for one in counts if one[1]), key=lambda one: -one[1])

    def document(self) -> dict[str, Any]:
        """The picture as JSON can hold it; `series.catalogue` says what a key of `whole` is."""
        window = self.readings.window
        fleet = None if self.fleet is None else asdict(self.fleet)
        if fleet and fleet["created"]:
            fleet["created"] = fleet["created"].isoformat()
        return {
            "stage": self.stage,
            "region": self.region,
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "period_s": window.period_s,
            "requests_per_s": self.readings.total("requests") / window.seconds,
            "whole": self.readings.whole,
            "day_before": self.readings.before,
            "endpoint": fleet,
            "cost_estimate": {
                "usd": self.spending.usd,
                "usd_per_month": self.spending.usd_per_month,
                "items": [asdict(item) for item in self.spending.items],
                "prices": {"region": self.spending.region, "as_of": self.spending.as_of},
            },
            "columns": {**self.readings.columns, "instances": self.instances},
        }


def take(account: Account, stage: str, now: datetime, minutes: int, columns: int) -> Picture:
    """The last `minutes` of `stage`, in at most `columns` columns."""
    place, settings = places.read(stage), front.read(stage)
    window = Window.until(now, minutes, columns)
    found = readings.read(account, series.catalogue(place), window)
    fleet = fleets.read(account, place.endpoint)
    instances = fleets.over_time(found, fleet)
    return Picture(
        stage=stage,
        region=account.region,
        place=place,
        front=settings,
        readings=found,
        fleet=fleet,
        instances=instances,
        spending=spending.of(found, instances, fleet, settings, spending.table()),
    )
