"""What limits the whole API: its own concurrency, the endpoint or the photo host."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from statistics import median
from typing import Any

from ops.loadtest.search import Search
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step

ENDPOINT = "endpoint"
CONCURRENCY = "API concurrency"
GATEWAY = "API Gateway rate limit"
QUOTA = "quota of the API key"
PHOTOS = "photos"
MACHINE = "this machine"

CAUSES = {
    "HTTP 429": GATEWAY,
    "HTTP 429 too-many-requests": GATEWAY,
    "HTTP 429 quota-exceeded": QUOTA,
    "HTTP 429 endpoint-busy": ENDPOINT,
    "HTTP 502 endpoint-failed": ENDPOINT,
    "HTTP 503 endpoint-unavailable": ENDPOINT,
    "HTTP 504 endpoint-timeout": ENDPOINT,
    "HTTP 424 image-unreachable": PHOTOS,
    "HTTP 503 service-busy": CONCURRENCY,
    # What API Gateway makes of a throttled function and of its own timeout in a stage without
    # responses of its own: https://repost.aws/questions/QUfI6bsdd0SOiPeyimzxSkfQ
    **dict.fromkeys(
        ("HTTP 500 internal-error", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504"), CONCURRENCY
    ),
}
"""What each kind of refusal shows. Others, such as timeouts, are explained by times."""
NAMES = {
    ENDPOINT: "the endpoint",
    CONCURRENCY: "the API's concurrency",
    GATEWAY: "API Gateway's rate limit",
    QUOTA: "the quota of the API key",
    PHOTOS: "the host of the photos",
}
REMEDIES = {
    ENDPOINT: "Add instances with `ops endpoint scale`.",
    CONCURRENCY: (
        "Raise reserved_concurrency in .chalice/config.json. If the function's metric Throttles is "
        "0, the function failed instead: see its log."
    ),
    GATEWAY: (
        "Raise the throttling in .chalice/resources-STAGE.json, of the stage and of the usage plan."
    ),
    QUOTA: "Raise the quota of the usage plan, or use another key.",
    PHOTOS: "Use a faster host for the photos, or --upload.",
}
LOCAL = (
    "chalice local is one Python process without API Gateway and Lambda. It cannot show the "
    "throttling of the gateway, reserved concurrency or cold starts, and its rate is that of this "
    "machine, on which the model server and the load generator also run."
)


@dataclass(slots=True)
class StageTimes:
    """The times in the responses of one step, in milliseconds."""

    fetch: list[float] = field(default_factory=list)
    inference: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)

    def add(self, body: bytes | None) -> None:
        """Add the times of a response. Ignore a body that has none."""
        try:
            times = json.loads(body or b"")["timing_ms"]
            values = [float(times[name]) for name in ("fetch", "inference", "total")]
        except (LookupError, TypeError, ValueError):
            return
        for name, value in zip(("fetch", "inference", "total"), values, strict=True):
            getattr(self, name).append(value)

    def medians(self, step: Step) -> dict[str, float]:
        """Return the median times by part. What no other part accounts for is the API's."""
        if not self.total:
            return {}
        return {
            ENDPOINT: median(self.inference),
            PHOTOS: median(self.fetch),
            CONCURRENCY: max(0.0, step.p50_ms - median(self.inference) - median(self.fetch)),
        }


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """`part` is one of the names above, or "" if none was found."""

    part: str
    sentence: str


def find(search: Search, times: Sequence[dict[str, float]], is_local: bool) -> Bottleneck:
    """Name the bottleneck at the lowest rate that failed.

    `times` has the medians of each step of `search`. Refusals decide. Without any, it is the part
    whose time grew most since the first step.
    """
    failed = [pair for pair in zip(search.steps, times, strict=True) if not pair[0].passed]
    if not failed:
        return Bottleneck("", f"No bottleneck was found: {search.end_reason}.")
    step, slow = min(failed, key=lambda pair: pair[0].rate)
    refused = Counter[str]()
    for kind, count in step.errors.items():
        if cause := CAUSES.get(kind):
            refused[cause] += count
    at = f"at {step.rate:.4g} requests per second"
    if refused:
        part, count = refused.most_common(1)[0]
        kinds = ", ".join(kind for kind in step.errors if CAUSES.get(kind) == part)
        reason = f"{at} it refused {count} of {step.requests} ({kinds})"
    elif step.generator_limited and is_local:
        sentence = f"The bottleneck is {MACHINE}: {at} the load generator on it was too slow."
        return Bottleneck(MACHINE, sentence)
    elif step.generator_limited:
        remedy = "Run it on a machine with faster cores."
        return Bottleneck(
            "", f"No bottleneck was found: {at} the load generator was too slow. {remedy}"
        )
    elif times[0] and slow and slow is not times[0]:
        part = max(slow, key=lambda name: slow[name] - times[0][name])
        reason = (
            f"{at} its part of a request took {slow[part]:.0f} ms, {times[0][part]:.0f} ms at "
            f"{search.steps[0].rate:.4g} (medians)"
        )
    elif slow:
        part = max(slow, key=lambda name: slow[name])
        reason = f"{at} it took the largest part of a request, {slow[part]:.0f} ms (median)"
    else:
        return Bottleneck("", f"No bottleneck was found: {at}, {step.describe_errors()}.")
    sentence = f"The bottleneck is {NAMES[part]}: {reason}."
    if step.generator_limited:
        sentence += " The load generator was too slow, too."
    return Bottleneck(part, sentence if is_local else f"{sentence} {REMEDIES[part]}")


def report(
    search: Search, times: Sequence[dict[str, float]], loadtest: LoadTestSettings, is_local: bool
) -> dict[str, Any]:
    """Return what `loadtest --api --json` prints: rates per second, times in milliseconds."""
    result = find(search, times, is_local)
    return {
        "p99_limit_ms": loadtest.p99_ms,
        "arrivals": loadtest.arrivals,
        "rate": search.best and search.best.rate,
        "end_reason": search.end_reason,
        "generator_limited": search.generator_limited,
        "requests": sum(step.requests for step in search.steps),
        "refusals": [
            {"kind": kind, "count": count, "cause": CAUSES.get(kind, "")}
            for kind, count in refusals(search).items()
        ],
        "bottleneck": asdict(result),
        "is_local": is_local,
        "steps": [
            {**asdict(step), "median_ms": medians}
            for step, medians in zip(search.steps, times, strict=True)
        ],
    }


def text(report: Mapping[str, Any]) -> str:
    """Return the report for a terminal."""
    lines = []
    if report["rate"]:
        best = max(filter(itemgetter("passed"), report["steps"]), key=itemgetter("rate"))
        lines.append(
            f"{best['rate']:.1f} requests per second pass ({report['end_reason']}): "
            f"p50 {best['p50_ms']:.0f}, p95 {best['p95_ms']:.0f}, p99 {best['p99_ms']:.0f} ms, "
            f"limit {report['p99_limit_ms']:g}."
        )
        if parts := best["median_ms"]:
            lines.append(
                f"A request spent {parts[ENDPOINT]:.0f} ms in the endpoint, {parts[PHOTOS]:.0f} ms "
                f"fetching the photo and {parts[CONCURRENCY]:.0f} ms in the rest of the API "
                f"(medians). About {best['rate'] * best['p50_ms'] / 1000:.1f} were in it at a time."
            )
    lines += [
        f"  {refusal['count']:7} {refusal['kind']}"
        + f" ({refusal['cause']})" * bool(refusal["cause"])
        for refusal in report["refusals"]
    ]
    lines.append(report["bottleneck"]["sentence"])
    if report["is_local"]:
        lines.append(LOCAL)
    return "\n".join(lines)


def refusals(search: Search) -> dict[str, int]:
    """Return the number of failures of all steps by kind, the most frequent first."""
    total = Counter[str]()
    for step in search.steps:
        total.update(step.errors)
    return dict(total.most_common())
