"""The figures of a step, from calls written down by hand."""

import math

from ops.loadtest.generator import Call, Drive
from ops.loadtest.step import percentile, summarize


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([7.0], 99) == 7
    assert percentile([], 99) == math.inf


def test_latency_counts_from_when_a_request_was_due() -> None:
    late = Call(due_s=1.0, sent_s=1.4, done_s=1.5, error=None, found_busy=True)
    prompt = Call(due_s=2.0, sent_s=2.001, done_s=2.011, error=None, found_busy=False)
    step = summarize(2, Drive(calls=[late, prompt], wall_s=2, cpu_s=0.1), settle_s=0)
    assert round(step.max_ms) == 500
    assert round(step.p50_ms) == 11
    assert round(step.late_p99_ms) == 1  # the server kept the other one waiting
    assert step.cpu_share == 0.05
    assert not step.generator_limited


def test_a_generator_that_was_late_or_busy_says_so() -> None:
    late = Call(due_s=1.0, sent_s=1.02, done_s=1.03, error=None, found_busy=False)
    assert summarize(1, Drive(calls=[late], wall_s=1, cpu_s=0.1), 0).generator_limited
    prompt = Call(due_s=1.0, sent_s=1.001, done_s=1.03, error=None, found_busy=False)
    assert summarize(1, Drive(calls=[prompt], wall_s=1, cpu_s=0.95), 0).generator_limited
    assert not summarize(1, Drive(calls=[prompt], wall_s=1, cpu_s=0.5), 0).generator_limited


def test_nothing_answered_is_not_held() -> None:
    step = summarize(5, Drive(unsent=5, wall_s=1), 0)
    assert step.requests == step.failed == 5
    assert step.answered_rate == 0
    assert step.p99_ms == math.inf
    assert not step.holds(1e9)
