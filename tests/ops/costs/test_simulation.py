"""A day on instances: steady load by hand, surges, limits."""

import dataclasses

import pytest

from ops.costs.queueing import Server, quantile_s, steady
from ops.costs.simulation import simulate
from ops.costs.traffic import Traffic, surge
from tests.ops.costs.test_tracking import DELAYS, SCALING

SERVER = Server(workers=2, service_s=0.02, waiting=64)  # 100 a second


def test_steady_load_needs_what_division_says() -> None:
    # 35 a second at a target of 10 a second and instance are 4 instances, at 8.75 a second each.
    day = simulate(Traffic((35.0,) * 24), SERVER, SCALING, DELAYS)
    assert (day.fewest_instances, day.peak_instances) == (4, 4)
    assert day.instance_hours == pytest.approx(4 * 24)
    assert day.requests == pytest.approx(35 * 86_400)
    assert day.refused == pytest.approx(0, abs=1e-6)
    queue = steady(SERVER, 8.8)  # rounded to 0.2 % of the capacity
    assert day.p99_s == pytest.approx(quantile_s(queue.tail, 0.99))
    assert day.worst_p99_s == pytest.approx(day.p99_s)
    assert len(day.minutes) == 1440


def test_an_endpoint_at_its_maximum_refuses_the_rest() -> None:
    # 4 instances of 100 a second each, offered 500: a fifth is refused.
    day = simulate(Traffic((500.0,) * 24), SERVER, SCALING, DELAYS)
    assert day.peak_instances == 4
    assert day.refused_part == pytest.approx(0.2, abs=1e-6)
    assert day.minutes[0].refused == pytest.approx(100, abs=0.01)
    assert day.asked_for == 50


def test_a_surge_is_refused_until_the_instances_are_there() -> None:
    scaling = dataclasses.replace(SCALING, target_per_minute=3000, max_instances=10)
    day = simulate(Traffic((40.0,) * 24, surge("6@12:00+30")), SERVER, scaling, DELAYS)
    noon = 12 * 60
    # 240 a second on one instance of 100: seen after 3 minutes and one more, there 5 min later.
    refusing = [m - noon for m, minute in enumerate(day.minutes) if minute.refused > 1]
    assert refusing == list(range(9))
    assert day.minutes[noon].refused == pytest.approx(140, abs=0.1)
    assert day.minutes[noon + 9].in_service == 5
    assert day.refused == pytest.approx(140 * 9 * 60, rel=0.001)
    assert day.worst_p99_s > 0.6  # the queue is full then
    # They go again, 15 minutes below 90 % of the target after the end.
    assert day.minutes[noon + 45].in_service == 5
    assert day.minutes[noon + 47].in_service == 1


def test_a_target_of_ten_a_minute_is_an_instance_for_every_request_each_six_seconds() -> None:
    scaling = dataclasses.replace(SCALING, target_per_minute=10, max_instances=10**6)
    day = simulate(Traffic((15.0,) * 24), SERVER, scaling, DELAYS)
    assert day.peak_instances == 90
    assert day.instance_hours == pytest.approx(90 * 24)
