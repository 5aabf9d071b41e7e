"""Tests of the queue's formulas against values computed by hand and a simulated queue."""

import heapq
import math
import random

import numpy as np
import pytest

from ops.costs.queueing import LATENCIES_S, Server, loss, occupancy, quantile_s, steady_state


def test_one_worker_and_a_queue_of_one() -> None:
    # M/M/1/2 at load 1/2: weights 1, 1/2, 1/4, so 4/7, 2/7, 1/7.
    server = Server(workers=1, service_s=0.1, waiting=1)
    assert occupancy(server, rate=5) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    rejected, tail = steady_state(server, 5)
    assert rejected == pytest.approx(1 / 7)
    # An accepted request finds a free worker in 2 of 3 cases. Otherwise it waits for one departure.
    for latency_s, above in zip(LATENCIES_S, tail, strict=True):
        if latency_s >= 0.1:
            assert above == pytest.approx(math.exp(-(latency_s - 0.1) / 0.1) / 3)
        else:
            assert above == 1


def test_two_workers() -> None:
    # M/M/2/4 at load 1: weights 1, 1, 1/2, 1/4, 1/8, in total 23/8.
    server = Server(workers=2, service_s=0.5, waiting=2)
    assert server.capacity == 4
    weights = np.array([8, 8, 4, 2, 1]) / 23
    assert occupancy(server, rate=2) == pytest.approx(weights)


def test_overload_rejects_what_exceeds_the_capacity() -> None:
    server = Server(workers=2, service_s=0.02, waiting=64)
    rejected, tail = steady_state(server, 200)
    assert rejected == pytest.approx(0.5, abs=1e-6)
    # An accepted request waits for almost the whole queue: 64 departures at 100 per second.
    assert quantile_s(tail, 0.5) == pytest.approx(0.65, abs=0.02)


def test_without_load_no_request_waits() -> None:
    rejected, tail = steady_state(Server(workers=2, service_s=0.02, waiting=64), 0.0)
    assert rejected == 0
    assert quantile_s(tail, 0.99) == pytest.approx(0.02, rel=0.04)


def test_quantiles_are_interpolated() -> None:
    tail = np.exp(-LATENCIES_S / 0.1)
    assert quantile_s(tail, 0.99) == pytest.approx(0.1 * math.log(100), rel=0.01)
    assert quantile_s(tail, 0.5) == pytest.approx(0.1 * math.log(2), rel=0.01)


def test_erlangs_loss_formula() -> None:
    # B(2, 1) = (1/2) / (1 + 1 + 1/2); and from Erlang's tables: 10 places lose 1 % at load 4.46.
    assert loss(np.array([1.0, 0.0]), 2) == pytest.approx([0.2, 0.0])
    assert float(loss(np.array([4.461]), 10)[0]) == pytest.approx(0.01, abs=1e-4)
    assert float(loss(np.array([3.0]), 0)[0]) == 1


def test_against_a_simulated_queue() -> None:
    """200,000 requests through two workers and four places: rejections and p99 agree."""
    server, rate, generator = Server(workers=2, service_s=0.1, waiting=4), 18.0, random.Random(4)
    now, rejected, waits = 0.0, 0, list[float]()
    free = [0.0, 0.0]  # when each worker becomes free
    starts = list[float]()  # of the queued requests, ascending
    for _ in range(200_000):
        now += generator.expovariate(rate)
        while starts and starts[0] <= now:
            heapq.heappop(starts)
        if len(starts) >= server.waiting:
            rejected += 1
            continue
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + generator.expovariate(1 / server.service_s))
        if start > now:
            heapq.heappush(starts, start)
        waits.append(start - now + server.service_s)
    waits.sort()
    probability, tail = steady_state(server, rate)
    assert rejected / 200_000 == pytest.approx(probability, rel=0.04)
    assert waits[int(len(waits) * 0.99)] == pytest.approx(quantile_s(tail, 0.99), rel=0.05)
    assert waits[len(waits) // 2] == pytest.approx(quantile_s(tail, 0.5), rel=0.08)
