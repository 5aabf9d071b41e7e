"""Find the highest rate that passes: increase it until a step fails, then bisect."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step


@dataclass(slots=True)
class Search:
    """The measured steps in order, and why the search ended."""

    steps: list[Step] = field(default_factory=list)
    end_reason: str = "the limit is between two measured rates"

    @property
    def best(self) -> Step | None:
        """The highest rate that passed, or None."""
        passed = [step for step in self.steps if step.passed]
        return max(passed, key=lambda step: step.rate, default=None)

    @property
    def generator_limited(self) -> bool:
        """Whether the generator was too slow at the lowest rate that failed."""
        failed = [step for step in self.steps if not step.passed]
        return bool(failed) and min(failed, key=lambda step: step.rate).generator_limited


def search(measure: Callable[[float], Step], settings: LoadTestSettings) -> Search:
    """Call `measure` with rates until the limit is between two of them, or a bound is reached."""
    result = Search()
    step_s = settings.step_s + settings.settle_s
    last_start = time.monotonic() + settings.max_seconds - step_s
    rate, passed, failed = settings.start_rate, 0.0, 0.0
    refinements = 0
    while True:
        if sum(step.requests for step in result.steps) + rate * step_s > settings.max_requests:
            result.end_reason = f"stopped at max_requests {settings.max_requests}"
            return result
        if time.monotonic() > last_start:
            result.end_reason = f"stopped at max_seconds {settings.max_seconds:g}"
            return result
        result.steps.append(measure(rate))
        if result.steps[-1].passed:
            passed = rate
        else:
            failed = rate
        if not failed and rate >= settings.max_rate:
            result.end_reason = f"max_rate {settings.max_rate:g} passed"
            return result
        if not failed:
            rate = min(rate * settings.growth, settings.max_rate)
        elif passed and refinements < settings.refinements:
            refinements += 1
            rate = (passed + failed) / 2
        else:
            return result
