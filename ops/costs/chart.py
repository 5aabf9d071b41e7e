"""The day as a picture: load and capacity, instances, latency, refusals."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ops.costs.plan import Choice, Plan

BLUE, ORANGE, GREY, RED = "#1f5f8b", "#d1691f", "#8a8f98", "#b3261e"


def draw(path: Path, plan: Plan) -> None:
    """Write the chart of the first choice to `path`, as a PNG."""
    choice = plan.choices[0]
    minutes = choice.day.minutes
    hours = [number / 60 for number in range(len(minutes))]
    figure = Figure(figsize=(9, 9), layout="constrained")
    FigureCanvasAgg(figure)
    load, instances, latency, refused = figure.subplots(
        4, 1, sharex=True, height_ratios=[3, 2, 2, 2]
    )
    load.set_title(_title(choice), fontsize=10)
    capacity = [minute.in_service * choice.instance.rate for minute in minutes]
    wanted = [minute.in_service * choice.scaling.target_per_minute / 60 for minute in minutes]
    load.plot(hours, capacity, color=GREY, drawstyle="steps-post", label="capacity in service")
    load.plot(hours, wanted, color=GREY, linestyle=":", drawstyle="steps-post", label="at target")
    load.plot(hours, [minute.rate for minute in minutes], color=BLUE, label="load")
    load.set_ylabel("requests a second")
    load.set_ylim(bottom=0)
    load.legend(frameon=False, ncols=3, fontsize=8)
    total = [minute.in_service + minute.starting for minute in minutes]
    serving = [minute.in_service for minute in minutes]
    instances.fill_between(hours, total, step="post", color=ORANGE, alpha=0.5, label="starting")
    instances.fill_between(hours, serving, step="post", color=BLUE, label="in service")
    instances.set_ylabel("instances")
    instances.set_ylim(0, max(total) * 1.25)
    instances.legend(frameon=False, ncols=2, fontsize=8)
    latency.plot(hours, [minute.p99_s * 1000 for minute in minutes], color=BLUE)
    latency.set_ylabel("p99 at the\nendpoint (ms)")
    latency.set_ylim(bottom=0)
    turned_away = [minute.refused for minute in minutes]
    refused.fill_between(hours, turned_away, step="post", color=RED)
    refused.set_ylabel("refused a second")
    # Without any refusal the axis would be stretched over rounding errors.
    refused.set_ylim(0, max(1.0, *turned_away) * 1.1)
    refused.set_xlabel("hour of the day")
    refused.set_xlim(0, 24)
    refused.set_xticks(range(0, 25, 2))
    for panel in (load, instances, latency, refused):
        panel.grid(visible=True, alpha=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _title(choice: Choice) -> str:
    scaling, rate = choice.scaling, choice.instance.rate
    how = "given" if choice.instance.measured else "assumed"
    return (
        f"{choice.instance.type} ({rate:g}/s, {how}), {scaling.min_instances} to "
        f"{scaling.max_instances}, target {scaling.target_per_minute:g} a minute"
    )
