"""A plan as text and as JSON."""

from dataclasses import asdict
from typing import Any

from cli import tables
from ops.costs.findings import findings
from ops.costs.plan import Plan
from ops.costs.simulation import Day
from ops.costs.traffic import DAY_S


def document(plan: Plan) -> dict[str, Any]:
    """Return what `--json` prints: rates in requests per second, money in US dollars."""
    return {
        "traffic": {
            "hours": list(plan.traffic.hours),
            "requests_per_day": plan.candidates[0].day.requests,
            "peak_rate": plan.traffic.peak(),
        },
        "instance_types": [
            {
                "instance_type": candidate.instance_type,
                "rate_per_instance": candidate.rate,
                "rate_measured": candidate.measured,
                "target_per_minute": candidate.scaling.target_per_minute,
                **_day(candidate.day),
                "usd_per_month": candidate.usd,
                "usd_per_million": candidate.usd_per_million,
                "items": [asdict(item) for item in candidate.items],
            }
            for candidate in plan.candidates
        ],
        "targets": [
            {
                "name": target.name,
                "target_per_minute": target.per_minute,
                "seconds_between_requests": target.seconds_between_requests,
                **_day(target.day),
                "instances_usd_per_month": target.instances_usd,
            }
            for target in plan.targets
        ],
        "functions": {**asdict(plan.functions), **asdict(plan.api)},
        "training_job": asdict(plan.job),
        "prices": plan.prices.model_dump(include={"region", "as_of", "source"}),
        "findings": findings(plan),
    }


def _day(day: Day) -> dict[str, float]:
    return {
        "instances_min": day.min_instances,
        "instances_max": day.max_instances,
        "instances_desired": day.desired_instances,
        "instance_hours_per_day": day.instance_hours,
        "p50_ms": day.p50_s * 1000,
        "p99_ms": day.p99_s * 1000,
        "p99_worst_minute_ms": day.worst_p99_s * 1000,
        "rejected_per_day": day.rejected,
        "rejected_fraction": day.rejected_fraction,
    }


def text(plan: Plan) -> str:
    """Return the plan for a terminal."""
    paragraphs = [
        _traffic(plan), _types(plan), _bill(plan), _targets(plan), _functions(plan), _job(plan),
        "\n".join(f"! {finding}" for finding in findings(plan)),
        f"Prices: {plan.prices.region}, {plan.prices.as_of}, {plan.prices.source}.",
    ]  # fmt: skip
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _traffic(plan: Plan) -> str:
    requests = plan.candidates[0].day.requests
    return (
        f"{requests:,.0f} requests per day: {_rate(requests / DAY_S)} per second on average, "
        f"{_rate(plan.traffic.peak())} at the peak"
    )


def _types(plan: Plan) -> str:
    heads = (
        "instance type", "rate/s", "measured", "target/min", "instances", "p99 ms", "worst p99 ms",
        "rejected", "$/month", "$/million",
    )  # fmt: skip
    rows = [
        (
            candidate.instance_type,
            f"{candidate.rate:,.0f}",
            "yes" if candidate.measured else "no",
            f"{candidate.scaling.target_per_minute:,.0f}",
            _instances(candidate.day),
            f"{candidate.day.p99_s * 1000:.0f}",
            f"{candidate.day.worst_p99_s * 1000:.0f}",
            f"{candidate.day.rejected_fraction:.2%}",
            f"{candidate.usd:,.0f}",
            f"{candidate.usd_per_million:,.2f}",
        )
        for candidate in plan.candidates
    ]
    return tables.render(heads, rows)


def _bill(plan: Plan) -> str:
    first = plan.candidates[0]
    rows = [
        (item.name, f"{item.quantity:,.1f}", item.unit, f"{item.usd:,.2f}") for item in first.items
    ]
    heads = (f"monthly bill with {first.instance_type}", "quantity", "unit", "$")
    return tables.render(heads, [*rows, ("total", "", "", f"{first.usd:,.2f}")])


def _targets(plan: Plan) -> str:
    heads = (
        "target, without a maximum", "per minute", "seconds between requests", "instances",
        "p99 ms", "instances $/month",
    )  # fmt: skip
    rows = [
        (
            target.name,
            f"{target.per_minute:,.4g}",
            f"{target.seconds_between_requests:.3g}",
            _instances(target.day),
            f"{target.day.p99_s * 1000:.0f}",
            f"{target.instances_usd:,.0f}",
        )
        for target in plan.targets
    ]
    return tables.render(heads, rows)


def _functions(plan: Plan) -> str:
    api, functions, first = plan.api, plan.functions, plan.candidates[0]
    kind = "by default" if api.reserved is None else "reserved"
    throttle = "the account's" if api.throttle_rate is None else f"{api.throttle_rate:g}/s"
    requests = first.server.workers + first.server.waiting
    return (
        f"Functions of stage {api.stage} ({api.memory_mb} MB, {plan.costs.lambda_s:g} s per "
        f"request): {functions.mean:,.1f} concurrent on average, {functions.peak:,.1f} at the peak "
        f"(p99 {functions.peak_p99:,})\n"
        f"Limits: {api.concurrency:,} {kind}, {api.provisioned} provisioned, "
        f"API Gateway {throttle}\n"
        f"All functions forward {api.concurrency / plan.costs.lambda_s:,.0f} requests per second. "
        f"The endpoint takes {first.day.min_instances * first.rate:,.0f} to "
        f"{first.day.max_instances * first.rate:,.0f} and holds {requests} requests per instance."
    )


def _job(plan: Plan) -> str:
    job = plan.job
    return (
        f"A training job of {job.hours:g} h on {job.instances} x {job.instance_type}: "
        f"${job.on_demand_usd:,.2f} on demand, about ${job.spot_usd:,.2f} on spot instances"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if round(value) >= 1000 else f"{value:.4g}"


def _instances(day: Day) -> str:
    if day.min_instances == day.max_instances:
        return f"{day.max_instances:,}"
    return f"{day.min_instances:,}-{day.max_instances:,}"
