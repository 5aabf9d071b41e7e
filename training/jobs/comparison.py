"""Compare measured runs: speed-up, efficiency, cost, accuracy, and which to choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cli import tables
from training.jobs.measurement import Measurement
from training.settings import TrainSettings

PARTS = ("startup", "data", "training", "export")


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement; `speed_up` and `efficiency` relative to the first run on one machine."""

    run: Measurement
    speed_up: float | None
    efficiency: float | None

    @property
    def total_s(self) -> float | None:
        return None if self.run.times is None else self.run.times.total

    @property
    def usd(self) -> float | None:
        """What was paid."""
        return self.run.usd_on_demand if self.run.usd_spot is None else self.run.usd_spot


def rows(runs: Sequence[Measurement]) -> list[Row]:
    """Return a row per run. Runs of another training or that resumed have no speed-up."""
    base = next((run for run in runs if run.machines == 1 and run.times), None)
    return [_row(run, base) for run in runs]


def _row(run: Measurement, base: Measurement | None) -> Row:
    if base is None or difference(base, run) or not run.times or not base.times:
        return Row(run, None, None)
    speed_up = base.times.total / run.times.total
    return Row(run, speed_up, speed_up / run.machines)


def difference(base: Measurement, run: Measurement) -> str:
    """Return why the times of two runs must not be compared; empty if they may."""
    for each in (base, run):
        if each.result is not None and each.result.resumed:
            return f"{each.name} was interrupted and resumed, so its times are incomplete"
    if base.data != run.data:
        return f"{base.name} and {run.name} trained on different photos"
    machines = {base.name: base.machines, run.name: run.machines}
    for key in sorted({*base.train, *run.train} - TrainSettings.MAY_DIFFER - {"batch_size"}):
        before, after = base.train.get(key), run.train.get(key)
        if before != after:
            return f"{base.name} and {run.name} differ in {key}: {before} and {after}"
    steps = [int(each.train.get("batch_size", 0)) * machines[each.name] for each in (base, run)]
    if steps[0] != steps[1]:
        return f"{base.name} and {run.name} differ in photos per step: {steps[0]} and {steps[1]}"
    return ""


def render(compared: Sequence[Row]) -> str:
    """Return the table for a terminal."""
    heads = ["run", "on", "status", "start-up", "data", "training", "export", "total"]
    heads += ["speed-up", "efficiency", "on demand", "spot", "top-1"]
    return tables.render(heads, [_cells(row) for row in compared])


def _cells(row: Row) -> list[str]:
    run = row.run
    parts = [_clock(getattr(run.times, part) if run.times else None) for part in PARTS]
    accuracy = "-"
    if run.result is not None:
        accuracy = f"{run.result.top1:.3f} ± {run.result.standard_error:.3f}"
    return [
        run.name,
        run.place,
        run.status,
        *parts,
        _clock(row.total_s),
        _text(row.speed_up, "{:.2f}"),
        _text(row.efficiency, "{:.0%}"),
        _text(run.usd_on_demand, "${:.2f}"),
        _text(run.usd_spot, "${:.2f}"),
        accuracy,
    ]


def notes(compared: Sequence[Row]) -> list[str]:
    """Return a sentence per thing that the table cannot show."""
    runs = [row.run for row in compared]
    base = next((run for run in runs if run.machines == 1 and run.times), None)
    lines = [run.note for run in runs if run.note]
    for run in runs:
        if base is not None and run is not base and run.times and (why := difference(base, run)):
            lines.append(f"Not compared: {why}.")
    return list(dict.fromkeys(lines))


def recommendation(compared: Sequence[Row]) -> str:
    """Return one sentence: which of the runs to choose, and why.

    The fastest is worth its price if it is faster by at least the factor that it costs more.
    """
    usable = [row for row in compared if row.run.status == "Completed" and row.speed_up]
    if len(usable) < 2:
        return "Nothing to recommend: fewer than two runs of the same training have finished."
    usable, worse = _without_worse(usable)
    fastest = max(usable, key=lambda row: row.speed_up or 0)
    priced = [row for row in usable if row.usd is not None]
    cheapest = min(priced, key=lambda row: row.usd or 0) if len(priced) == len(usable) else fastest
    because = f", because the accuracy of {worse} is lower by more than chance" if worse else ""
    gain = _ratio(cheapest.speed_up, fastest.speed_up)
    if fastest is cheapest or gain < 1.05:
        least = "it is the fastest" + (" and the cheapest" if priced else "")
        return f"Train on {cheapest.run.place}: {least}{because}."
    dearer = _ratio(cheapest.usd, fastest.usd)
    if gain >= dearer:
        return (
            f"Train on {fastest.run.place}: {gain:.1f} times as fast as {cheapest.run.place} for "
            f"{dearer:.1f} times the price{because}."
        )
    return (
        f"Train on {cheapest.run.place}: {fastest.run.place} is only {gain:.1f} times as fast for "
        f"{dearer:.1f} times the price{because}."
    )


def _without_worse(usable: list[Row]) -> tuple[list[Row], str]:
    """Leave out runs whose accuracy is lower than the best by two standard errors."""
    best = max(usable, key=lambda row: row.run.result.top1 if row.run.result else 0).run.result
    if best is None:
        return usable, ""
    kept: list[Row] = []
    worse: list[Row] = []
    for row in usable:
        result = row.run.result
        error = math.hypot(best.standard_error, result.standard_error) if result else 0
        lower = result is not None and best.top1 - result.top1 > 2 * error
        (worse if lower else kept).append(row)
    return kept, " and ".join(row.run.place for row in worse)


def as_json(compared: Sequence[Row]) -> dict[str, Any]:
    """Return everything for a script. Seconds, US dollars, fractions; None if unknown."""
    return {
        "runs": [_as_json(row) for row in compared],
        "notes": notes(compared),
        "recommendation": recommendation(compared),
    }


def _as_json(row: Row) -> dict[str, Any]:
    run = row.run
    return {
        "run": run.name,
        "on": run.place,
        "machines": run.machines,
        "status": run.status,
        **{f"{part}_s": run.times and getattr(run.times, part) for part in PARTS},
        "total_s": row.total_s,
        "speed_up": row.speed_up,
        "efficiency": row.efficiency,
        "usd_on_demand": run.usd_on_demand,
        "usd_spot": run.usd_spot,
        "top1": run.result and run.result.top1,
        "standard_error": run.result and run.result.standard_error,
        "valid_photos": run.result and run.result.photos,
    }


def _ratio(before: float | None, after: float | None) -> float:
    return after / before if before and after else 1.0


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
