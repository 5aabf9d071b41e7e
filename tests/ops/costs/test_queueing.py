"""The queue's formulas against values worked out by hand, and against a queue played through."""

import heapq
import math
import random

import numpy as np
import pytest

from ops.costs.queueing import LATENCIES_S, Server, lost, occupancy, quantile_s, steady


def test_one_worker_and_one_place_to_wait() -> None:
    # M/M/1/2 at load 1/2: weights 1, 1/2, 1/4, so 4/7, 2/7, 1/7.
    server = Server(workers=1, service_s=0.1, waiting=1)
    assert occupancy(server, rate=5) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    queue = steady(server, 5)
    assert queue.refused == pytest.approx(1 / 7)
    # An accepted request finds nobody in 2 of 3 cases, else waits for one exponential departure.
    for latency_s, above in zip(LATENCIES_S, queue.tail, strict=True):
        if latency_s >= 0.1:
            assert above == pytest.approx(math.exp(-(latency_s - 0.1) / 0.1) / 3)
        else:
            assert above == 1


def test_two_workers() -> None:
    # M/M/2/4 at load 1: weights 1, 1, 1/2, 1/4, 1/8, in all 23/8.
    server = Server(workers=2, service_s=0.5, waiting=2)
    assert server.capacity == 4
    weights = np.array([8, 8, 4, 2, 1]) / 23
    assert occupancy(server, rate=2) == pytest.approx(weights)


def test_overload_refuses_what_is_above_capacity() -> None:
    server = Server(workers=2, service_s=0.02, waiting=64)
    assert steady(server, 200).refused == pytest.approx(0.5, abs=1e-6)
    # Who is let in waits for almost the whole queue: 64 departures at 100 a second.
    assert quantile_s(steady(server, 200).tail, 0.5) == pytest.approx(0.65, abs=0.02)


def test_without_load_nobody_waits() -> None:
    queue = steady(Server(workers=2, service_s=0.02, waiting=64), 0.0)
    assert queue.refused == 0
    assert quantile_s(queue.tail, 0.99) == pytest.approx(0.02, rel=0.04)


def test_quantiles_are_read_off_between_the_grid() -> None:
    tail = np.exp(-LATENCIES_S / 0.1)
    assert quantile_s(tail, 0.99) == pytest.approx(0.1 * math.log(100), rel=0.01)
    assert quantile_s(tail, 0.5) == pytest.approx(0.1 * math.log(2), rel=0.01)


def test_erlangs_loss_formula() -> None:
    # B(2, 1) = (1/2) / (1 + 1 + 1/2); and the classic table: 10 places lose 1 % at load 4.46.
    assert lost(np.array([1.0, 0.0]), 2) == pytest.approx([0.2, 0.0])
    assert float(lost(np.array([4.461]), 10)[0]) == pytest.approx(0.01, abs=1e-4)
    assert float(lost(np.array([3.0]), 0)[0]) == 1


def test_against_a_queue_that_is_played_through() -> None:
    """200,000 requests through two workers and four places: refusals and p99 agree."""
    server, rate, chance = Server(workers=2, service_s=0.1, waiting=4), 18.0, random.Random(4)
    now, refused, waits = 0.0, 0, list[float]()
    free = [0.0, 0.0]  # when each worker is free
    starts = list[float]()  # of those that wait, ascending
    for _ in range(200_000):
        now += chance.expovariate(rate)
        while starts and starts[0] <= now:
            heapq.heappop(starts)
        if len(starts) >= server.waiting:
            refused += 1
            continue
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + chance.expovariate(1 / server.service_s))
        if start > now:
            heapq.heappush(starts, start)
        waits.append(start - now + server.service_s)
    waits.sort()
    queue = steady(server, rate)
    assert refused / 200_000 == pytest.approx(queue.refused, rel=0.04)
    assert waits[int(len(waits) * 0.99)] == pytest.approx(quantile_s(queue.tail, 0.99), rel=0.05)
    assert waits[len(waits) // 2] == pytest.approx(quantile_s(queue.tail, 0.5), rel=0.08)
