"""A chart of the day: load and capacity, instances, latency, rejected requests."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ops.costs.plan import Plan

BLUE, ORANGE, GREY, RED = "#1f5f8b", "#d1691f", "#8a8f98", "#b3261e"


def draw(path: Path, plan: Plan) -> None:
    """Write the chart of the configured instance type to `path` as a PNG."""
    first = plan.first
    day, target = first.day, first.target_per_minute
    hours = np.arange(len(day.rates)) / 60
    figure = Figure(figsize=(9, 9), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=[3, 2, 2, 2])
    load, instances, latency, rejected = panels
    rate, source = first.rate_per_instance, "given" if first.rate_measured else "assumed"
    load.set_title(
        f"{first.instance_type} ({rate:g}/s, {source}), {plan.scaling.min_instances} to "
        f"{plan.scaling.max_instances}, target {target:g} per minute",
        fontsize=10,
    )
    for per_s, line, label in ((rate, "-", "capacity in service"), (target / 60, ":", "at target")):
        steps = day.in_service * per_s
        load.plot(hours, steps, color=GREY, linestyle=line, drawstyle="steps-post", label=label)
    load.plot(hours, day.rates, color=BLUE, label="load")
    load.set(ylabel="requests per second", ylim=(0, None))
    load.legend(frameon=False, ncols=3, fontsize=8)
    total = day.in_service + day.starting
    instances.fill_between(hours, total, step="post", color=ORANGE, alpha=0.5, label="starting")
    instances.fill_between(hours, day.in_service, step="post", color=BLUE, label="in service")
    instances.set(ylabel="instances", ylim=(0, total.max() * 1.25))
    instances.legend(frameon=False, ncols=2, fontsize=8)
    latency.plot(hours, day.p99_ms_by_minute, color=BLUE)
    latency.set(ylabel="p99 at the\nendpoint (ms)", ylim=(0, None))
    rejected.fill_between(hours, day.rejected_rates, step="post", color=RED)
    # without a rejected request the axis would show rounding errors
    rejected.set(ylabel="rejected per second", ylim=(0, max(1.0, day.rejected_rates.max()) * 1.1))
    rejected.set(xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 2))
    for panel in panels:
        panel.grid(visible=True, alpha=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
