"""Tests of the summary of a step, with calls computed by hand."""

import math

from ops.loadtest.generator import Call, Recording
from ops.loadtest.step import percentile, summarize


def call(due_s: float, sent_s: float, done_s: float, connections_busy: bool = False) -> Call:
    return Call(due_s, sent_s, done_s, error=None, connections_busy=connections_busy)


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([7.0], 99) == 7
    assert percentile([], 99) == math.inf


def test_latency_counts_from_the_due_time() -> None:
    late = call(1.0, 1.4, 1.5, connections_busy=True)
    prompt = call(2.0, 2.001, 2.011)
    step = summarize(2, Recording([late, prompt], wall_s=2, cpu_s=0.1), settle_s=0, p99_ms=1e9)
    assert round(step.max_ms) == 500
    assert round(step.p50_ms) == 11
    assert round(step.late_p99_ms) == 1  # the server made the other one late
    assert step.cpu_share == 0.05
    assert not step.generator_limited


def test_a_late_or_busy_generator_is_reported() -> None:
    late = call(1.0, 1.02, 1.03)
    assert summarize(1, Recording([late], wall_s=1, cpu_s=0.1), 0, 1e9).generator_limited
    prompt = call(1.0, 1.001, 1.03)
    assert summarize(1, Recording([prompt], wall_s=1, cpu_s=0.95), 0, 1e9).generator_limited
    assert not summarize(1, Recording([prompt], wall_s=1, cpu_s=0.5), 0, 1e9).generator_limited


def test_a_step_without_a_response_does_not_pass() -> None:
    step = summarize(5, Recording(unsent=5, wall_s=1), 0, 1e9)
    assert step.requests == step.failed == 5
    assert step.answered_rate == 0
    assert step.p99_ms == math.inf
    assert not step.passed
