"""A plan as text and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from aws.instance_types import vcpus
from cli import tables
from ops.costs import per_million
from ops.costs.findings import findings
from ops.costs.plan import Candidate, Plan
from ops.costs.traffic import DAY_S

INSTANCE_TYPES = {
    "instance type": "{instance_type}",
    "rate/s": "{rate_per_instance:,.0f}",
    "measured": "{measured}",
    "target/min": "{target_per_minute:,.0f}",
    "instances": "{instances}",
    "p99 ms": "{p99_ms:.0f}",
    "worst p99 ms": "{p99_worst_minute_ms:.0f}",
    "rejected": "{rejected_fraction:.2%}",
    "$/month": "{usd_per_month:,.0f}",
    "$/million": "{usd_per_million:,.2f}",
}
"""The columns of a table: heads, and formats of the rows in the JSON document."""
TARGETS = {
    "target, without a maximum": "{name}",
    "per minute": "{target_per_minute:,.4g}",
    "seconds between requests": "{seconds_between_requests:.3g}",
    "instances": "{instances}",
    "p99 ms": "{p99_ms:.0f}",
    "instances $/month": "{instances_usd_per_month:,.0f}",
}
OFFERS = {
    "per million predictions at half load": "{name}",
    "images/s": "{capacity}",
    "compute $": "{compute}",
    "with data $": "{endpoint}",
    "with API $": "{total}",
    "capacity or price": "{basis}",
}
BREAK_EVEN = (
    "Below {per_day:,.0f} predictions per day ({per_month:,.0f} per month), a serverless endpoint "
    "with {memory_gb} GB\n"
    "costs less than one {instance_type}, ${instance_usd_per_month:,.2f} per month. "
    "{ms:g} ms per prediction are assumed\n({basis}), and cold starts are not included. "
    "Twice the time halves the limit."
)
JOB = (
    "A training job of {hours:g} h on {instances} x {instance_type}: ${on_demand_usd:,.2f} on "
    "demand, about ${spot_usd:,.2f} on spot instances"
)


def document(plan: Plan) -> dict[str, Any]:
    """Return what `--json` prints: rates in requests per second, money in US dollars."""
    instance_types = [_row(candidate) for candidate in plan.candidates]
    limit = per_million.break_even(plan)
    return {
        "traffic": {
            "hours": list(plan.traffic.hours),
            "requests_per_day": plan.first.day.requests_per_day,
            "peak_rate": plan.traffic.peak(),
        },
        "instance_types": instance_types,
        "targets": [
            {
                **_row(candidate),
                "name": name,
                "seconds_between_requests": 60 / candidate.target_per_minute,
                "instances_usd_per_month": candidate.items[0].usd,
            }
            for name, candidate in plan.targets.items()
        ],
        "per_million": [asdict(offer) for offer in per_million.offers(plan)],
        "serverless": limit and {**asdict(limit), "per_day": limit.per_day},
        "functions": {**asdict(plan.functions), **asdict(plan.api)},
        "training_job": plan.training_job(),
        "prices": plan.prices.model_dump(include={"region", "as_of", "source"}),
        "findings": findings(plan),
    }


def _row(candidate: Candidate) -> dict[str, Any]:
    row = asdict(candidate)
    day = row.pop("day").items()
    row |= {name: value for name, value in day if not isinstance(value, np.ndarray)}
    usd = {"usd_per_month": candidate.usd_per_month, "usd_per_million": candidate.usd_per_million}
    return row | usd


def text(plan: Plan) -> str:
    """Return the plan for a terminal."""
    report = document(plan)
    first = report["instance_types"][0]
    items = {
        f"monthly bill with {first['instance_type']}": "{name}",
        "quantity": "{quantity:,.1f}",
        "unit": "{unit}",
        "$": "{usd:,.2f}",
    }
    total = ("total", "", "", f"{first['usd_per_month']:,.2f}")
    paragraphs = [
        f"{first['requests_per_day']:,.0f} requests per day: "
        f"{_rate(first['requests_per_day'] / DAY_S)} per second on average, "
        f"{_rate(plan.traffic.peak())} at the peak",
        _table(INSTANCE_TYPES, map(_with_texts, report["instance_types"])),
        _table(items, first["items"], total),
        _table(TARGETS, map(_with_texts, report["targets"])),
        _table(OFFERS, map(_offer, report["per_million"])),
        BREAK_EVEN.format_map(report["serverless"]) if report["serverless"] else "",
        _functions(plan),
        JOB.format_map(report["training_job"]),
        "\n".join(f"! {finding}" for finding in report["findings"]),
        "Prices: {region}, {as_of}, {source}.".format_map(report["prices"]),
    ]
    return "\n\n".join(filter(None, paragraphs))


def _table(columns: Mapping[str, str], rows: Iterable[dict[str, Any]], *last: Sequence[str]) -> str:
    cells = [[form.format_map(row) for form in columns.values()] for row in rows]
    return tables.render(list(columns), [*cells, *last])


def _with_texts(row: dict[str, Any]) -> dict[str, Any]:
    counts = dict.fromkeys((row["instances_min"], row["instances_max"]))
    instances = "-".join(f"{count:,}" for count in counts)
    return {**row, "instances": instances, "measured": "yes" if row["rate_measured"] else "no"}


def _offer(row: dict[str, Any]) -> dict[str, Any]:
    def form(key: str, digits: int = 2) -> str:
        return "" if row[key] is None else f"{row[key]:,.{digits}f}"

    return {
        **row,
        "capacity": form("images_per_s", digits=0),
        "compute": form("compute_usd"),
        "endpoint": form("endpoint_usd"),
        "total": form("usd"),
    }


def _functions(plan: Plan) -> str:
    api, functions, first = plan.api, plan.functions, plan.first
    kind = "by default" if api.reserved is None else "reserved"
    throttle = "the account's" if api.throttle_rate is None else f"{api.throttle_rate:g}/s"
    return (
        f"Functions of stage {api.stage} ({api.memory_mb} MB, {plan.costs.lambda_s:g} s per "
        f"request): {functions.mean:,.1f} concurrent on average, {functions.peak:,.1f} at the peak "
        f"(p99 {functions.peak_p99:,})\n"
        f"Limits: {api.concurrency:,} {kind}, {api.provisioned} provisioned, "
        f"API Gateway {throttle}\n"
        f"All functions forward {api.concurrency / plan.costs.lambda_s:,.0f} requests per second. "
        f"The endpoint takes {first.day.instances_min * first.rate_per_instance:,.0f} to "
        f"{first.day.instances_max * first.rate_per_instance:,.0f} and holds "
        f"{vcpus(first.instance_type) + plan.costs.queue} requests per instance."
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if round(value) >= 1000 else f"{value:.4g}"
