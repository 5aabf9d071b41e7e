"""Warnings about a plan: misread targets, rejected requests, assumptions."""

import math
from collections.abc import Iterator

from ops.costs import capacity
from ops.costs.plan import Plan

MIN_UTILIZATION = 0.05
"""A target below this fraction of an instance's rate is a mistake, not a reserve."""
MAX_UTILIZATION = 0.8


def findings(plan: Plan) -> list[str]:
    """Return one sentence or two for each finding, the most important first."""
    return [*_target(plan), *_endpoint(plan), *_functions(plan), *_limits(plan)]


def _target(plan: Plan) -> Iterator[str]:
    target, rate = plan.first.target_per_minute, plan.first.rate_per_instance
    utilization = target / 60 / rate
    if utilization < MIN_UTILIZATION:
        better = plan.loadtest.target_per_minute(rate)
        enough = math.ceil(plan.traffic.peak() * 60 / better)
        yield (
            f"A target of {target:g} means {target:g} requests per MINUTE and instance, one every "
            f"{60 / target:.3g} s, not {target:g} concurrent requests. That is {utilization:.2%} "
            f"of the {rate:g} requests per second that an instance takes. The day needs "
            f"{plan.first.day.instances_desired:,} instances at its peak instead of {enough:,}. "
            f"Set --target-per-minute {better:.0f}."
        )
    elif utilization > MAX_UTILIZATION:
        yield (
            f"A target of {target:g} per minute is {utilization:.0%} of the {rate:g} requests per "
            "second that an instance takes. It leaves no reserve while new instances start."
        )


def _endpoint(plan: Plan) -> Iterator[str]:
    day, maximum = plan.first.day, plan.scaling.max_instances
    if day.rejected_per_day >= 1:
        yield (
            f"The endpoint rejects {day.rejected_per_day:,.0f} of {day.requests_per_day:,.0f} "
            f"requests per day ({day.rejected_fraction:.2%}). p99 in the worst minute is "
            f"{day.p99_worst_minute_ms:.0f} ms."
        )
    if day.instances_desired > maximum:
        yield (
            f"Autoscaling needs {day.instances_desired:,} instances, but max_instances is "
            f"{maximum:,}."
        )


def _functions(plan: Plan) -> Iterator[str]:
    api, functions, requests = plan.api, plan.functions, plan.first.day.requests_per_day
    if functions.throttled_per_day >= 1:
        yield (
            f"API Gateway's limit for stage {api.stage}, {api.throttle_rate:g} requests per "
            f"second, throttles {functions.throttled_per_day / requests:.1%} of the requests."
        )
    if functions.rejected_per_day / requests > 1e-6:
        kind = "reserved" if api.reserved is not None else "the account's default"
        yield (
            f"A limit of {api.concurrency:,} concurrent functions ({kind}) rejects "
            f"{functions.rejected_per_day / requests:.2%} of the requests. The peak needs "
            f"{functions.peak:,.1f} on average and {functions.peak_p99:,} at the 99th percentile."
        )
    if api.provisioned and functions.spillover > 0.01:
        yield (
            f"{functions.spillover:.0%} of the requests find none of the {api.provisioned} "
            "provisioned functions free and may wait for a cold start."
        )


def _limits(plan: Plan) -> Iterator[str]:
    forwarded = plan.api.concurrency / plan.costs.lambda_s
    served = plan.scaling.min_instances * plan.first.rate_per_instance
    if forwarded > served:
        yield (
            f"{plan.api.concurrency:,} functions can forward {forwarded:,.0f} requests per second, "
            f"and min_instances {plan.scaling.min_instances} takes {served:,.0f}. The endpoint "
            "rejects a sudden burst until more instances have started."
        )
    if plan.scaling.schedules:
        yield "The schedules of [scaling] are not simulated: its limits apply all day."
    assumed = [other.instance_type for other in plan.candidates if not other.rate_measured]
    if assumed:
        slowest = capacity.slowest()
        yield (
            f"The rate of {', '.join(assumed)} is assumed (rate_per_vcpu in [costs]), not "
            "measured. Run `ops loadtest` and pass --rate-per-instance or --rate. The benchmarks "
            f"reached {slowest.images_per_s_and_core:.0f} per second and core on {slowest.title}."
        )
