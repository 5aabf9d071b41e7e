"""What a plan means, in sentences: what is misread, what refuses requests, what to change."""

import math

from ops.costs.plan import Choice, Plan

HARDLY_USED = 0.05
"""A target below this part of what an instance takes is a misunderstanding, not a reserve."""
TOO_FULL = 0.8


def sentences(plan: Plan) -> list[str]:
    """The findings, the gravest first."""
    first = plan.choices[0]
    return [
        *_target(plan, first),
        *_endpoint(first),
        *_functions(plan),
        *_reach(plan, first),
        *_left_out(first),
        *_assumed(plan),
    ]


def _target(plan: Plan, first: Choice) -> list[str]:
    target, rate = first.scaling.target_per_minute, first.instance.rate
    used = target / 60 / rate
    if used < HARDLY_USED:
        return [
            f"A target of {target:g} is {target:g} requests per MINUTE and instance, one every "
            f"{60 / target:.3g} s, not {target:g} simultaneous requests: it holds an instance that "
            f"takes {rate:g} a second at {used:.2%} of that. The day asks for "
            f"{first.day.asked_for:,} instances at its peak, where "
            f"{math.ceil(plan.traffic.peak() / rate / plan.safety):,} would do. Set "
            f"--target-per-minute {rate * plan.safety * 60:.0f}."
        ]
    if used > TOO_FULL:
        return [
            f"A target of {target:g} a minute is {used:.0%} of the {rate:g} a second that an "
            "instance takes: nothing is left for the minutes until another one is there."
        ]
    return []


def _endpoint(first: Choice) -> list[str]:
    day, found = first.day, list[str]()
    if day.refused >= 1:
        found.append(
            f"The endpoint refuses {day.refused:,.0f} of {day.requests:,.0f} requests a day "
            f"({day.refused_part:.2%}); p99 of its worst minute is {day.worst_p99_s * 1000:.0f} ms."
        )
    if day.asked_for > first.scaling.max_instances:
        found.append(
            f"Scaling wants {day.asked_for:,} instances and may have "
            f"{first.scaling.max_instances:,} (max_instances)."
        )
    return found


def _functions(plan: Plan) -> list[str]:
    front, functions = plan.front, plan.functions
    requests = plan.choices[0].day.requests
    found = list[str]()
    if functions.throttled >= 1:
        found.append(
            f"API Gateway's limit of stage {front.stage}, {front.throttle_rate:g} requests a "
            f"second, refuses {functions.throttled / requests:.1%} of the requests."
        )
    if functions.refused / requests > 1e-6:
        what = "reserved" if front.reserved is not None else "of an account by default"
        found.append(
            f"{front.concurrency:,} functions at a time ({what}) refuse "
            f"{functions.refused / requests:.2%} of the requests; the peak takes "
            f"{functions.peak:,.1f} on average and {functions.peak_p99:,} in 1 of 100 moments."
        )
    if front.provisioned and functions.spilled > 0.01:
        found.append(
            f"{front.provisioned} provisioned functions miss {functions.spilled:.0%} of the "
            "requests, which may wait for a cold start."
        )
    return found


def _reach(plan: Plan, first: Choice) -> list[str]:
    """Whether the functions together can overrun the endpoint while it is small."""
    passed = plan.front.concurrency / plan.request.lambda_s
    least = first.scaling.min_instances * first.instance.rate
    if passed <= least:
        return []
    return [
        f"{plan.front.concurrency:,} functions can pass on {passed:,.0f} requests a second, and "
        f"min_instances {first.scaling.min_instances} takes {least:,.0f}: a sudden burst is "
        "refused at the endpoint until more instances are there."
    ]


def _left_out(first: Choice) -> list[str]:
    if not first.scaling.schedules:
        return []
    return ["The schedules of [cloud.scaling] are not simulated: the limits hold all day here."]


def _assumed(plan: Plan) -> list[str]:
    assumed = [c.instance.type for c in plan.choices if not c.instance.measured]
    if not assumed:
        return []
    return [
        f"The rate of {', '.join(assumed)} is an assumption (rate_per_vcpu in settings.toml), "
        "nobody measured it: run loadtest on one and give --rate-per-instance or --rate."
    ]
