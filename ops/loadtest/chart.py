"""A chart of latency and failures against the rate."""

from pathlib import Path

from matplotlib.figure import Figure

from ops.loadtest.search import Search

BLUE, ORANGE, GREY, RED = "#1f5f8b", "#d1691f", "#8a8f98", "#b3261e"


def draw(path: Path, search: Search, limit_ms: float) -> None:
    """Write the chart to `path` as a PNG: p50, p90 and p99 by rate, with the failures below."""
    steps = sorted(search.steps, key=lambda step: step.rate)
    figure = Figure(figsize=(8, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    answered = [step for step in steps if step.p50_ms < float("inf")]
    rates = [step.rate for step in answered]
    for name, color in (("p50", GREY), ("p90", BLUE), ("p99", ORANGE)):
        values = [getattr(step, f"{name}_ms") for step in answered]
        upper.plot(rates, values, "o-", color=color, label=name, markersize=4)
    limit = f"limit {limit_ms:g} ms"
    upper.axhline(limit_ms, color=RED, linewidth=1, linestyle="--", label=limit)
    if search.best:
        rate = search.best.rate
        upper.axvline(rate, color=RED, linewidth=1, label=f"result {rate:.4g}/s")
    upper.set(yscale="log", ylabel="latency from due time (ms)")
    upper.yaxis.set_major_formatter("{x:g}")
    upper.legend(frameon=False)
    upper.grid(visible=True, which="both", alpha=0.2)
    failed = [100 * step.failed / max(step.requests, 1) for step in steps]
    lower.plot([step.rate for step in steps], failed, "o-", color=RED, markersize=4)
    slow = [step.rate for step in steps if step.generator_limited]
    if slow:
        label = "generator too slow"
        lower.plot(slow, [0] * len(slow), "x", color=GREY, label=label, clip_on=False)
        lower.legend(frameon=False)
    lower.set(xlabel="requests per second", ylabel="failed (%)", ylim=(0, max(5.0, *failed) * 1.1))
    lower.set_xlim(left=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
