"""Latency against rate, as a PNG."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ops.loadtest.step import Step

BLUE, ORANGE, GREY, RED = "#1f5f8b", "#d1691f", "#8a8f98", "#b3261e"


def draw(path: Path, steps: Sequence[Step], p99_ms: float, best_rate: float | None) -> None:
    """Write the chart to `path`: p50, p90 and p99 over the rate, and the failures below."""
    steps = sorted(steps, key=lambda step: step.rate)
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    answered = [step for step in steps if step.p50_ms < float("inf")]
    rates = [step.rate for step in answered]
    for name, colour in (("p50", GREY), ("p90", BLUE), ("p99", ORANGE)):
        values = [getattr(step, f"{name}_ms") for step in answered]
        upper.plot(rates, values, "o-", color=colour, label=name, markersize=4)
    upper.axhline(p99_ms, color=RED, linewidth=1, linestyle="--", label=f"bound {p99_ms:g} ms")
    if best_rate:
        upper.axvline(best_rate, color=RED, linewidth=1, label=f"held: {best_rate:.4g}/s")
    upper.set_yscale("log")
    upper.yaxis.set_major_formatter("{x:g}")
    upper.set_ylabel("latency from when due (ms)")
    upper.legend(frameon=False)
    upper.grid(visible=True, which="both", alpha=0.2)
    all_rates = [step.rate for step in steps]
    failed = [100 * step.failed / max(step.requests, 1) for step in steps]
    lower.plot(all_rates, failed, "o-", color=RED, markersize=4)
    limited = [step.rate for step in steps if step.generator_limited]
    if limited:
        lower.plot(
            limited, [0] * len(limited), "x", color=GREY, label="generator was late", clip_on=False
        )
        lower.legend(frameon=False)
    lower.set_ylim(0, max(5.0, *failed) * 1.1)
    lower.set_ylabel("failed (%)")
    lower.set_xlabel("requests a second")
    lower.set_xlim(left=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
