"""The search for the limit, on servers whose limit is known."""

import dataclasses

import pytest

from ops.loadtest.generator import Call, Drive
from ops.loadtest.search import Plan, search
from ops.loadtest.step import Step, summarize

PLAN = Plan(
    p99_ms=100,
    start_rate=10,
    growth=2,
    max_rate=1000,
    refinements=3,
    max_requests=100_000,
    max_seconds=1000,
    step_s=1,
)


def step(rate: float, p99_ms: float) -> Step:
    calls = [Call(n / rate, n / rate, n / rate + p99_ms / 1000, None, False) for n in range(10)]
    found = summarize(rate, Drive(calls=calls, wall_s=1), 0)
    return dataclasses.replace(found, requests=int(rate))


def limited_to(limit: float) -> list[float]:
    """The rates that are tried on a server which holds up to `limit`."""
    tried = list[float]()

    def measure(rate: float) -> Step:
        tried.append(rate)
        return step(rate, 50 if rate <= limit else 500)

    found = search(measure, PLAN)
    best = found.best(PLAN.p99_ms)
    tried.append(best.rate if best else 0)
    return tried


def test_up_by_doubling_then_halving_what_lies_between() -> None:
    assert limited_to(57) == [10, 20, 40, 80, 60, 50, 55, 55]


def test_a_server_without_a_limit_is_driven_to_the_most_that_is_allowed() -> None:
    assert limited_to(1e9)[-1] == PLAN.max_rate


def test_a_server_that_does_not_hold_the_first_rate() -> None:
    assert limited_to(1) == [10, 0]


def test_a_rate_above_one_that_was_missed_is_not_taken() -> None:
    rates = {10: 50, 20: 500}
    found = search(lambda rate: step(rate, rates.get(int(rate), 50)), PLAN)
    best = found.best(PLAN.p99_ms)
    assert best is not None
    assert best.rate == 18.75  # 15 and 17.5 were held too


@pytest.mark.parametrize(
    ("bound", "said"),
    [({"max_requests": 65}, "65 requests"), ({"max_seconds": 0.5}, "longer than 0.5 s")],
)
def test_the_bounds_end_it_before_they_are_passed(bound: dict[str, float], said: str) -> None:
    plan = dataclasses.replace(PLAN, **bound)  # type: ignore[arg-type]
    found = search(lambda rate: step(rate, 50), plan)
    assert said in found.ended
    assert sum(step.requests for step in found.steps) <= plan.max_requests
