"""Tests of the search for the highest rate, on servers with known limits."""

import pytest

from ops.loadtest.generator import Call, Recording
from ops.loadtest.search import search
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step, summarize

SETTINGS = LoadTestSettings(
    p99_ms=100,
    start_rate=10,
    growth=2,
    max_rate=1000,
    refinements=3,
    max_requests=100_000,
    max_seconds=1000,
    step_s=1,
    settle_s=0,
)


def step(rate: float, p99_ms: float) -> Step:
    recording = Recording([Call(0, 0, p99_ms / 1000, None, False)] * int(rate))
    return summarize(rate, recording, 0, SETTINGS.p99_ms)


def measured_rates(limit: float) -> list[float]:
    """The rates that are measured on a server that takes `limit`, and the result."""
    rates = list[float]()

    def measure(rate: float) -> Step:
        rates.append(rate)
        return step(rate, 50 if rate <= limit else 500)

    best = search(measure, SETTINGS).best
    return [*rates, best.rate if best else 0]


def test_the_rate_doubles_and_is_then_bisected() -> None:
    assert measured_rates(57) == [10, 20, 40, 80, 60, 50, 55, 55]


def test_a_server_without_a_limit_ends_at_the_maximum() -> None:
    assert measured_rates(1e9)[-1] == SETTINGS.max_rate


def test_a_server_that_fails_the_first_rate() -> None:
    assert measured_rates(1) == [10, 0]


def test_the_result_is_below_the_lowest_rate_that_failed() -> None:
    p99_ms = {10: 50, 20: 500}
    best = search(lambda rate: step(rate, p99_ms.get(int(rate), 50)), SETTINGS).best
    assert best is not None
    assert best.rate == 18.75  # 15 and 17.5 passed too


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ({"max_requests": 65}, "stopped at max_requests 65"),
        ({"max_seconds": 0.5}, "stopped at max_seconds 0.5"),
    ],
)
def test_the_search_stops_before_a_bound_is_exceeded(bound: dict[str, float], reason: str) -> None:
    settings = SETTINGS.model_copy(update=bound)
    result = search(lambda rate: step(rate, 50), settings)
    assert result.end_reason == reason
    assert sum(step.requests for step in result.steps) <= settings.max_requests
