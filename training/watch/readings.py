"""What CloudWatch measured in a window of time, cut into columns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from training.cloud.account import Account
from training.watch.series import Series

DAY = timedelta(days=1)
LONGEST_MIN = 1440
"""A day: the longest time that GetMetricData makes one figure of."""
AT_ONCE = 500
"""Most queries that one GetMetricData takes."""
DRIFT = ("dog_mean", "top_mean")
"""What is compared with the day before: it moves when the photos, or the model, do."""

Column = float | None


@dataclass(frozen=True, slots=True)
class Window:
    """`count` columns of `period_s` seconds each, whole minutes all of them."""

    start: datetime
    period_s: int
    count: int

    @classmethod
    def until(cls, now: datetime, minutes: int, columns: int) -> "Window":
        """The last `minutes` whole minutes, rounded up to fill at most `columns` columns.

        Never longer than `LONGEST_MIN`.
        """
        each = math.ceil(minutes / columns)
        count = min(math.ceil(minutes / each), LONGEST_MIN // each)
        end = now.astimezone(UTC).replace(second=0, microsecond=0)
        return cls(end - timedelta(minutes=each * count), each * 60, count)

    @property
    def seconds(self) -> int:
        return self.period_s * self.count

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def column(self, moment: datetime) -> int:
        """The number of the column that `moment` falls into."""
        return int((moment - self.start).total_seconds() // self.period_s)


@dataclass(frozen=True, slots=True)
class Readings:
    """By the names of `series.catalogue`: columns (None where nothing was measured), the figure of
    the whole window, and for `DRIFT` that of the 24 hours before it."""

    window: Window
    columns: dict[str, list[Column]]
    whole: dict[str, Column]
    before: dict[str, Column]

    def total(self, key: str) -> float:
        """A sum or maximum of the whole window, 0 where nothing was measured or can be."""
        return self.whole.get(key) or 0.0


def read(account: Account, series: Mapping[str, Series], window: Window) -> Readings:
    """Ask CloudWatch for all series, in as few calls as there can be."""
    keys = list(series)
    queries = [series[key].query(f"c{n}", window.period_s) for n, key in enumerate(keys)]
    # The p99 of an hour is not the mean of its minutes' p99: it has to be asked for.
    asked = [(n, key) for n, key in enumerate(keys) if not series[key].adds_up]
    queries += [series[key].query(f"w{n}", window.seconds) for n, key in asked]
    answers = _ask(account, queries, window.start, window.end)
    columns = {key: _columns(answers[f"c{n}"], window) for n, key in enumerate(keys)}
    whole: dict[str, Column] = {}
    for n, key in enumerate(keys):
        if series[key].adds_up:
            values = [value for value in columns[key] if value is not None]
            combine = sum if series[key].stat == "Sum" else max
            whole[key] = combine(values) if values else None
        else:
            # One value, unless AWS cuts the window at a full hour: then the worse part counts.
            worse = max if series[key].stat in ("p50", "p99") else min
            parts = [value for _, value in answers[f"w{n}"]]
            whole[key] = worse(parts) if parts else None
    return Readings(window, columns, whole, _day_before(account, series, window))


def _day_before(
    account: Account, series: Mapping[str, Series], window: Window
) -> dict[str, Column]:
    day_s = int(DAY.total_seconds())
    queries = [series[key].query(key, day_s) for key in DRIFT]
    answers = _ask(account, queries, window.start - DAY, window.start)
    return {key: answers[key][-1][1] if answers[key] else None for key in DRIFT}


def _ask(
    account: Account, queries: list[dict[str, Any]], start: datetime, end: datetime
) -> dict[str, list[tuple[datetime, float]]]:
    """The answers by the queries' ids, ascending in time."""
    found: dict[str, list[tuple[datetime, float]]] = {str(one["Id"]): [] for one in queries}
    pages = account.client("cloudwatch").get_paginator("get_metric_data")
    for first in range(0, len(queries), AT_ONCE):
        for page in pages.paginate(
            MetricDataQueries=queries[first : first + AT_ONCE],
            StartTime=start,
            EndTime=end,
            ScanBy="TimestampAscending",
        ):
            for result in page["MetricDataResults"]:
                points = zip(result["Timestamps"], result["Values"], strict=True)
                found[result["Id"]] += [(moment, float(value)) for moment, value in points]
    return found


def _columns(points: list[tuple[datetime, float]], window: Window) -> list[Column]:
    columns: list[Column] = [None] * window.count
    for moment, value in points:
        number = window.column(moment)
        if 0 <= number < window.count:
            columns[number] = value
    return columns
