"""Find the highest rate that is held: up by steps until one fails, then halve what lies between."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ops.loadtest.step import Step

Measure = Callable[[float], Step]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rates are tried, and what bounds the test. Rates are requests a second."""

    p99_ms: float
    start_rate: float
    growth: float
    max_rate: float
    refinements: int
    max_requests: int
    max_seconds: float
    step_s: float
    """Duration of one step, in seconds, settling included."""


@dataclass(slots=True)
class Search:
    """The steps in the order they were made, and why no more were."""

    steps: list[Step] = field(default_factory=list)
    ended: str = ""

    def best(self, p99_ms: float) -> Step | None:
        """The step of the highest rate held below the lowest one that was not; None if none."""
        limit = min((s.rate for s in self.steps if not s.holds(p99_ms)), default=float("inf"))
        held = [s for s in self.steps if s.holds(p99_ms) and s.rate < limit]
        return max(held, key=lambda step: step.rate, default=None)


def search(measure: Measure, plan: Plan) -> Search:
    """Measure rates under `plan` until the limit lies between two of them, or a bound ends it."""
    found = Search()
    began = time.monotonic()

    def allowed(rate: float) -> bool:
        sent = sum(step.requests for step in found.steps)
        if sent + rate * plan.step_s > plan.max_requests:
            found.ended = f"another step would make it more than {plan.max_requests} requests"
        elif time.monotonic() - began + plan.step_s > plan.max_seconds:
            found.ended = f"another step would make it longer than {plan.max_seconds:g} s"
        return not found.ended

    rate, held, missed = plan.start_rate, 0.0, 0.0
    while not missed and allowed(rate):
        found.steps.append(measure(rate))
        if not found.steps[-1].holds(plan.p99_ms):
            missed = rate
        elif rate >= plan.max_rate:
            found.ended = f"{plan.max_rate:g} requests a second, the most to be tried, were held"
            return found
        else:
            held, rate = rate, min(rate * plan.growth, plan.max_rate)
    for _ in range(plan.refinements if held and missed else 0):
        rate = (held + missed) / 2
        if not allowed(rate):
            break
        found.steps.append(measure(rate))
        if found.steps[-1].holds(plan.p99_ms):
            held = rate
        else:
            missed = rate
    found.ended = found.ended or "the limit lies between two measured rates"
    return found
