"""Find how many requests a second one instance takes, and the scaling target that follows.

Open loop: requests are due by a schedule and their latency counts from then, so that a slow server
cannot hide behind the requests that it kept from being sent. The rate rises by steps until p99
exceeds its bound or a request fails; the highest rate held is the result. Drive one instance,
with scaling off: `--instances` divides where there are more. In AWS every request costs money.

example:
  python -m training loadtest --url http://127.0.0.1:8080 --p99-ms 250 --chart loadtest.png
  python -m training loadtest --stage dev --photos photos/test --json > loadtest.json
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from aws import account as accounts
from aws import stages
from aws.account import told_in_one_line
from cli.errors import SettingsError
from ops.errors import LoadTestFailed
from ops.loadtest import arrivals, chart, generator, photos
from ops.loadtest.search import Plan, Search, search
from ops.loadtest.step import Step, summarize
from ops.loadtest.target import Endpoint, LocalServer, NoAnswer, Target
from training import settings

TABLE = "loadtest"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--url", help="model server on this machine: http://127.0.0.1:8080")
    what.add_argument("--stage", help="the endpoint of this stage of .chalice/config.json")
    what.add_argument("--endpoint", metavar="NAME", help="a SageMaker endpoint by its name")
    parser.add_argument("--instances", type=int, default=1, help="instances behind it (default 1)")
    parser.add_argument(
        "--photos", type=Path, nargs="+", default=[], metavar="PATH", help="files or folders"
    )
    parser.add_argument("--chart", type=Path, metavar="PNG", help="draw latency against rate")
    parser.add_argument("--json", action="store_true", help="print the result as JSON at the end")
    accounts.add_options(parser)
    comments = settings.comments(TABLE)
    for key, default in settings.table(TABLE).items():
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            type=type(default),
            default=default,
            metavar=type(default).__name__.upper(),
            help=f"{comments[key]} (default {default})".replace("%", "%%"),
        )


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    _check(arguments)
    target = _target(arguments)
    pictures = photos.read(arguments.photos)
    _ask_once(target, pictures[0])
    # Where stdout carries the JSON, a person still follows on stderr.
    out = sys.stderr if arguments.json else sys.stdout
    plan = Plan(
        p99_ms=arguments.p99_ms,
        start_rate=arguments.start_rate,
        growth=arguments.growth,
        max_rate=arguments.max_rate,
        refinements=arguments.refinements,
        max_requests=arguments.max_requests,
        max_seconds=arguments.max_seconds,
        step_s=arguments.step_s + arguments.settle_s,
    )

    def measure(rate: float) -> Step:
        step = _measure(target, pictures, rate, plan.step_s, arguments.settle_s, arguments)
        tqdm.write(_row(step, plan.p99_ms), file=out)
        return step

    tqdm.write(f"{target.name}: warm-up, {arguments.warm_up_s:g} s", file=out)
    _measure(target, pictures, plan.start_rate, arguments.warm_up_s, 0.0, arguments)
    tqdm.write(_HEADING, file=out)
    found = search(measure, plan)
    best = found.best(plan.p99_ms)
    if arguments.chart:
        chart.draw(arguments.chart, found.steps, plan.p99_ms, best.rate if best else None)
        print(f"chart: {arguments.chart}", file=out)
    if arguments.json:
        print(json.dumps(document(found, plan, arguments), indent=2))
    if best is None:
        raise LoadTestFailed(_why_none(found, plan))
    for line in _told(found, best, plan, arguments):
        print(line, file=out)


def target_per_minute(rate: float, instances: int, safety: float) -> float:
    """AWS's rule: the invocations per minute and instance to scale by.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-loadtest.html
    """
    return rate / instances * safety * 60


def document(found: Search, plan: Plan, arguments: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints; rates in requests a second, times in ms."""
    best = found.best(plan.p99_ms)
    return {
        "p99_bound_ms": plan.p99_ms,
        "arrivals": arguments.arrivals,
        "instances": arguments.instances,
        "rate": best.rate if best else None,
        "rate_per_instance": best.rate / arguments.instances if best else None,
        "target_per_minute": (
            target_per_minute(best.rate, arguments.instances, arguments.safety) if best else None
        ),
        "ended": found.ended,
        "generator_limited": _generator_limited(found, plan),
        "steps": [step.document() for step in found.steps],
    }


def _check(arguments: argparse.Namespace) -> None:
    if arguments.arrivals not in arrivals.KINDS:
        known = ", ".join(arrivals.KINDS)
        raise SettingsError(f"--arrivals is {arguments.arrivals!r}, none of {known}")
    if arguments.growth <= 1:
        raise SettingsError(f"--growth is {arguments.growth:g}, not above 1")
    for key in ("start_rate", "step_s", "connections", "timeout_s", "instances", "p99_ms"):
        if getattr(arguments, key) <= 0:
            name = key.replace("_", "-")
            raise SettingsError(f"--{name} is {getattr(arguments, key):g}, not above 0")


def _target(arguments: argparse.Namespace) -> Target:
    if arguments.url:
        return LocalServer(arguments.url, arguments.timeout_s)
    name = arguments.endpoint or stages.read(arguments.stage).endpoint
    account = accounts.open_account(arguments)
    return Endpoint(account, name, arguments.connections, arguments.timeout_s)


def _ask_once(target: Target, photo: photos.Photo) -> None:
    """Raise `LoadTestFailed` where not even one request is answered, before thousands are sent."""
    with target.connect() as connection:
        try:
            connection.invoke(photo)
        except NoAnswer as failure:
            cause = failure.__cause__
            reason = accounts.explain(cause) if isinstance(cause, Exception) else str(failure)
            raise LoadTestFailed(f"{target.name} does not classify a photo: {reason}") from None


def _measure(
    target: Target,
    pictures: list[photos.Photo],
    rate: float,
    duration_s: float,
    settle_s: float,
    arguments: argparse.Namespace,
) -> Step:
    due = arrivals.schedule(rate, duration_s, arguments.arrivals, arguments.seed)
    with tqdm(total=len(due), desc=f"{rate:g}/s", leave=False, disable=None) as bar:
        driven = generator.drive(
            target, pictures, due, arguments.connections, arguments.timeout_s, bar.update
        )
    return summarize(rate, driven, settle_s)


_HEADING = "     rate  answered     p50     p90     p99 ms  failed   late  verdict"


def _row(step: Step, p99_ms: float) -> str:
    verdict = "held" if step.holds(p99_ms) else "missed"
    if step.failed:
        verdict += ": " + ", ".join(f"{count} {kind}" for kind, count in step.errors.items())
    if step.generator_limited:
        verdict += " (the generator was late itself)"
    return (
        f"{step.rate:9.1f} {step.answered_rate:9.1f} {step.p50_ms:7.1f} {step.p90_ms:7.1f} "
        f"{step.p99_ms:10.1f} {step.failed:7d} {step.late_p99_ms:6.1f}  {verdict}"
    )


def _generator_limited(found: Search, plan: Plan) -> bool:
    """Whether the generator was late itself at the lowest rate that was missed."""
    missed = [step for step in found.steps if not step.holds(plan.p99_ms)]
    return bool(missed) and min(missed, key=lambda step: step.rate).generator_limited


def _told(found: Search, best: Step, plan: Plan, arguments: argparse.Namespace) -> list[str]:
    per_instance = best.rate / arguments.instances
    target = target_per_minute(best.rate, arguments.instances, arguments.safety)
    lines = [
        f"{per_instance:.1f} requests a second and instance hold p99 {plan.p99_ms:g} ms "
        f"without a failure ({found.ended})",
        f"scaling target: {per_instance:.1f} x {arguments.safety:g} x 60 = {target:.0f} "
        "invocations per minute and instance",
        f"  python -m training scale --stage {arguments.stage or 'STAGE'} "
        f"--target-per-minute {target:.0f}",
        f"  python -m training costs --rate-per-instance {per_instance:.1f} "
        f"--target-per-minute {target:.0f}",
    ]
    if _generator_limited(found, plan):
        lines.append(
            "the load generator was late itself where the rate was missed: the endpoint may take "
            "more; run it on a machine of its own"
        )
    return lines


def _why_none(found: Search, plan: Plan) -> str:
    if not found.steps:
        return f"nothing was measured: {found.ended}"
    first = found.steps[0]
    kinds = ", ".join(f"{count} {kind}" for kind, count in first.errors.items())
    reason = kinds or f"p99 was {first.p99_ms:.0f} ms, above {plan.p99_ms:g}"
    return f"not even {first.rate:g} requests a second were held: {reason}; lower --start-rate"
