"""One rate, held for a while: its latencies, failures, and whether the generator kept up."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ops.loadtest.generator import Drive

LATE_MS = 10.0
"""A p99 lateness of sends above this, with free connections, is the generator's own doing."""
CPU_SHARE = 0.9
"""Python runs on one core at a time: a process above this share of one has no more to give."""


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one rate. Latencies are of answered requests, in ms, from when they were due."""

    rate: float
    """Requests a second that were due."""
    answered_rate: float
    """Answers a second that came."""
    requests: int
    errors: dict[str, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    """Lateness of the sends that found a connection free: the generator's own."""
    found_busy: int
    """Requests that were due while all connections waited for answers."""
    cpu_share: float
    """Part of one core that the generator used."""

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def generator_limited(self) -> bool:
        """Whether the generator, and not the server, may have been what was measured."""
        return self.late_p99_ms > LATE_MS or self.cpu_share > CPU_SHARE

    def holds(self, p99_ms: float) -> bool:
        """Whether the rate was held: no failure, and p99 within the bound."""
        return not self.failed and self.requests > 0 and self.p99_ms <= p99_ms

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "failed": self.failed, "generator_limited": self.generator_limited}


def summarize(rate: float, drive: Drive, settle_s: float) -> Step:
    """The step at `rate`; requests due in the first `settle_s` count for failures only."""
    counted = [call for call in drive.calls if call.due_s >= settle_s]
    latencies = sorted(call.latency_s * 1000 for call in counted if call.error is None)
    late = sorted(call.late_s * 1000 for call in counted if not call.found_busy)
    span_s = max((call.done_s for call in counted), default=settle_s) - settle_s
    return Step(
        rate=rate,
        answered_rate=len(latencies) / span_s if span_s > 0 else 0.0,
        requests=len(counted) + drive.unsent,
        errors=drive.errors(),
        p50_ms=percentile(latencies, 50),
        p90_ms=percentile(latencies, 90),
        p99_ms=percentile(latencies, 99),
        max_ms=latencies[-1] if latencies else math.inf,
        late_p99_ms=percentile(late, 99) if late else 0.0,
        found_busy=sum(call.found_busy for call in counted),
        cpu_share=drive.cpu_s / drive.wall_s if drive.wall_s > 0 else 0.0,
    )


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed; infinity of no values."""
    if not ascending:
        return math.inf
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]
