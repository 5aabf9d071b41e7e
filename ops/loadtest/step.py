"""The result of one rate: latencies, failures, and whether the generator kept up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops.loadtest.generator import Recording

MAX_LATE_MS = 10.0
"""If p99 of the lateness exceeds this while connections are free, the generator was too slow."""
MAX_CPU_SHARE = 0.9
"""Share of a core above which the generator is saturated: Python code runs on one core."""


@dataclass(frozen=True, slots=True)
class Step:
    """Latencies are those of answered requests, in milliseconds from when they were due."""

    rate: float
    """Requests per second that were due."""
    answered_rate: float
    """Responses per second."""
    requests: int
    errors: dict[str, int]
    failed: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    """Lateness of the requests that found a free connection, caused by the generator."""
    connections_busy: int
    """Requests that were due while all connections waited for responses."""
    cpu_share: float
    """Share of one core that the generator used."""
    generator_limited: bool
    """Whether the generator may have been measured instead of the server."""
    passed: bool
    """Whether no request failed and p99 is within the limit."""

    def describe_errors(self) -> str:
        """Return the failures as text: `3 HTTP 503, 1 not sent`."""
        return ", ".join(f"{count} {kind}" for kind, count in self.errors.items())


def summarize(rate: float, recording: Recording, settle_s: float, p99_ms: float) -> Step:
    """Summarize a recording. In the first `settle_s`, only failures count."""
    calls = [call for call in recording.calls if call.due_s >= settle_s]
    latencies = [call.latency_s * 1000 for call in calls if call.error is None]
    late = [(call.sent_s - call.due_s) * 1000 for call in calls if not call.connections_busy]
    late_p99_ms = percentile(late, 99) if late else 0.0
    cpu_share = recording.cpu_s / recording.wall_s if recording.wall_s > 0 else 0.0
    duration_s = max((call.done_s for call in calls), default=settle_s) - settle_s
    errors = recording.errors()
    return Step(
        rate=rate,
        answered_rate=len(latencies) / duration_s if duration_s > 0 else 0.0,
        requests=len(calls) + recording.unsent,
        errors=errors,
        failed=sum(errors.values()),
        p50_ms=percentile(latencies, 50),
        p90_ms=percentile(latencies, 90),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        max_ms=percentile(latencies, 100),
        late_p99_ms=late_p99_ms,
        connections_busy=sum(call.connections_busy for call in calls),
        cpu_share=cpu_share,
        generator_limited=late_p99_ms > MAX_LATE_MS or cpu_share > MAX_CPU_SHARE,
        passed=not errors and percentile(latencies, 99) <= p99_ms,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of the values do not exceed; infinity if empty."""
    if not values:
        return math.inf
    return float(np.percentile(values, percent, method="inverted_cdf"))
