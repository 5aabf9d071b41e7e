"""A plan as text for a person, and as a document for a script."""

from dataclasses import asdict
from typing import Any

from ops.costs.findings import sentences
from ops.costs.plan import Choice, Plan, Reading


def document(plan: Plan) -> dict[str, Any]:
    """What `--json` prints; rates in requests a second, money in US dollars."""
    return {
        "traffic": {
            "hours": list(plan.traffic.hours),
            "requests_a_day": plan.choices[0].day.requests,
            "peak_rate": plan.traffic.peak(),
        },
        "instance_types": [_choice(choice) for choice in plan.choices],
        "targets": [_reading(reading) for reading in plan.readings],
        "functions": {**asdict(plan.functions), **asdict(plan.front)},
        "training_job": asdict(plan.job),
        "prices": {
            "region": plan.prices.region,
            "as_of": plan.prices.as_of,
            "source": plan.prices.source,
        },
        "findings": sentences(plan),
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "instance_type": choice.instance.type,
        "rate_per_instance": choice.instance.rate,
        "rate_measured": choice.instance.measured,
        "target_per_minute": choice.scaling.target_per_minute,
        **_day(choice),
        "usd_a_month": choice.usd,
        "usd_per_million": choice.usd_per_million,
        "items": [asdict(item) for item in choice.items],
    }


def _day(found: Choice | Reading) -> dict[str, Any]:
    day = found.day
    return {
        "instances_fewest": day.fewest_instances,
        "instances_peak": day.peak_instances,
        "instances_asked_for": day.asked_for,
        "instance_hours_a_day": day.instance_hours,
        "p50_ms": day.p50_s * 1000,
        "p99_ms": day.p99_s * 1000,
        "p99_worst_minute_ms": day.worst_p99_s * 1000,
        "refused_a_day": day.refused,
        "refused_part": day.refused_part,
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "name": reading.name,
        "target_per_minute": reading.target_per_minute,
        "seconds_between_requests": reading.seconds_between,
        **_day(reading),
        "instances_usd_a_month": reading.instances_usd,
    }


def text(plan: Plan) -> str:
    """The plan for a terminal."""
    return "\n".join(
        [
            *_traffic(plan),
            "",
            *_types(plan),
            "",
            *_bill(plan),
            "",
            *_targets(plan),
            "",
            *_front(plan),
            "",
            *_training(plan),
            "",
            *[f"! {sentence}" for sentence in sentences(plan)],
            f"prices: {plan.prices.region}, {plan.prices.as_of}, {plan.prices.source}",
        ]
    )


def _traffic(plan: Plan) -> list[str]:
    requests = plan.choices[0].day.requests
    return [
        f"{requests:,.0f} requests a day: {_number(requests / 86400)} a second on average, "
        f"{_number(plan.traffic.peak())} at the peak"
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _types(plan: Plan) -> list[str]:
    lines = [
        "instance type       rate    target      instances     p99  worst p99  refused"
        "    $/month  $/million"
    ]
    for choice in plan.choices:
        day = choice.day
        mark = " " if choice.instance.measured else "?"
        lines.append(
            f"{choice.instance.type:<16} {choice.instance.rate:6,.0f}{mark} "
            f"{choice.scaling.target_per_minute:9,.0f} {_span(choice):>14} "
            f"{day.p99_s * 1000:4.0f} ms {day.worst_p99_s * 1000:7.0f} ms "
            f"{day.refused_part:8.2%} {choice.usd:10,.0f} {choice.usd_per_million:10,.2f}"
        )
    if any(not choice.instance.measured for choice in plan.choices):
        lines.append("? assumed, not measured")
    return lines


def _span(found: Choice | Reading) -> str:
    if found.day.fewest_instances == found.day.peak_instances:
        return f"{found.day.peak_instances:,}"
    return f"{found.day.fewest_instances:,}-{found.day.peak_instances:,}"


def _bill(plan: Plan) -> list[str]:
    first = plan.choices[0]
    lines = [f"the bill of a month with {first.instance.type}:"]
    for item in first.items:
        lines.append(f"  {item.name:<38} {item.quantity:19,.1f} {item.unit:<9} {item.usd:13,.2f} $")
    return [*lines, f"  {'in all':<38} {'':29} {first.usd:13,.2f} $"]


def _targets(plan: Plan) -> list[str]:
    lines = [
        f"the target on {plan.choices[0].instance.type}, were there no maximum:",
        "                        per minute   a request to each        instances     p99  "
        "instances, $/month",
    ]
    for reading in plan.readings:
        lines.append(
            f"  {reading.name:<20} {reading.target_per_minute:11,.4g}   "
            f"every {reading.seconds_between:9.3g} s {_span(reading):>16} "
            f"{reading.day.p99_s * 1000:4.0f} ms {reading.instances_usd:19,.0f}"
        )
    return lines


def _front(plan: Plan) -> list[str]:
    front, functions = plan.front, plan.functions
    first = plan.choices[0]
    server = first.instance.server
    places = server.workers + server.waiting
    reserved = f"{front.concurrency:,} " + ("by default" if front.reserved is None else "reserved")
    throttle = "the account's" if front.throttle_rate is None else f"{front.throttle_rate:g}/s"
    return [
        f"functions of stage {front.stage} ({front.memory_mb} MB, {plan.request.lambda_s:g} s a "
        f"request): {functions.mean:,.1f} at a time on average, {functions.peak:,.1f} at the peak,",
        f"  {functions.peak_p99:,} in 1 of 100 moments then; {reserved}, {front.provisioned} "
        f"provisioned, API Gateway's limit {throttle}",
        f"  so many functions pass on {front.concurrency / plan.request.lambda_s:,.0f} requests a "
        f"second; the endpoint takes {first.day.fewest_instances * first.instance.rate:,.0f} to "
        f"{first.day.peak_instances * first.instance.rate:,.0f} and holds {places} an instance",
    ]


def _training(plan: Plan) -> list[str]:
    job = plan.job
    return [
        f"a training job of {job.hours:g} h on {job.instances} x {job.instance_type}: "
        f"{job.on_demand_usd:,.2f} $ on demand, about {job.spot_usd:,.2f} $ on spot instances"
    ]
