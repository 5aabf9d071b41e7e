"""Find the highest rate that passes: increase it until a step fails, then bisect."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step


@dataclass(slots=True)
class Search:
    """The measured steps in order, and why the search ended."""

    p99_ms: float
    steps: list[Step] = field(default_factory=list)
    end_reason: str = ""

    @property
    def best(self) -> Step | None:
        """The highest rate that passed below the lowest that failed, or None."""
        failed = [step for step in self.steps if not step.passes(self.p99_ms)]
        limit = min((step.rate for step in failed), default=float("inf"))
        below = [step for step in self.steps if step not in failed and step.rate < limit]
        return max(below, key=lambda step: step.rate, default=None)

    @property
    def generator_limited(self) -> bool:
        """Whether the generator was too slow at the lowest rate that failed."""
        failed = [step for step in self.steps if not step.passes(self.p99_ms)]
        return bool(failed) and min(failed, key=lambda step: step.rate).generator_limited


def search(measure: Callable[[float], Step], settings: LoadTestSettings) -> Search:
    """Call `measure` with rates until the limit is between two of them, or a bound is reached."""
    result = Search(settings.p99_ms)
    start = time.monotonic()

    def passes(rate: float) -> bool | None:
        """Measure `rate`; None if that would exceed a bound."""
        step_s = settings.step_s + settings.settle_s
        if sum(step.requests for step in result.steps) + rate * step_s > settings.max_requests:
            result.end_reason = f"stopped at max_requests {settings.max_requests}"
            return None
        if time.monotonic() - start + step_s > settings.max_seconds:
            result.end_reason = f"stopped at max_seconds {settings.max_seconds:g}"
            return None
        result.steps.append(measure(rate))
        return result.steps[-1].passes(settings.p99_ms)

    rate, passed = settings.start_rate, 0.0
    while verdict := passes(rate):
        if rate >= settings.max_rate:
            result.end_reason = f"max_rate {settings.max_rate:g} passed"
            return result
        passed, rate = rate, min(rate * settings.growth, settings.max_rate)
    failed = rate
    if verdict is not None and passed:
        for _ in range(settings.refinements):
            rate = (passed + failed) / 2
            verdict = passes(rate)
            if verdict is None:
                break
            passed, failed = (rate, failed) if verdict else (passed, rate)
    result.end_reason = result.end_reason or "the limit is between two measured rates"
    return result
