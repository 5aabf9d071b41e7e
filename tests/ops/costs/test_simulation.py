"""Tests of a simulated day: steady load computed by hand, surges, limits."""

import numpy as np
import pytest

from ops.costs.queueing import Server, quantile_s, steady_state
from ops.costs.simulation import simulate
from ops.costs.traffic import Traffic, parse_surge
from tests.ops.costs.test_target_tracking import COSTS, SCALING

SERVER = Server(workers=2, service_s=0.02, waiting=64)  # 100 per second


def test_steady_load_needs_rate_divided_by_target() -> None:
    # 35 per second at a target of 10 per second and instance are 4 instances at 8.75 each.
    day = simulate(Traffic((35.0,) * 24), SERVER, SCALING, COSTS)
    assert (day.instances_min, day.instances_max) == (4, 4)
    assert day.instance_hours_per_day == pytest.approx(4 * 24)
    assert day.requests_per_day == pytest.approx(35 * 86_400)
    assert day.rejected_per_day == pytest.approx(0, abs=1e-6)
    _, tail = steady_state(SERVER, 8.8)  # rounded to 0.2 % of the capacity
    assert day.p99_ms == pytest.approx(quantile_s(tail, 0.99) * 1000)
    assert day.p99_worst_minute_ms == pytest.approx(day.p99_ms)
    assert len(day.rates) == 1440


def test_an_endpoint_at_its_maximum_rejects_the_rest() -> None:
    # 4 instances of 100 per second each get 500: a fifth is rejected.
    day = simulate(Traffic((500.0,) * 24), SERVER, SCALING, COSTS)
    assert day.instances_max == 4
    assert day.rejected_fraction == pytest.approx(0.2, abs=1e-6)
    assert day.rejected_rates[0] == pytest.approx(100, abs=0.01)
    assert day.instances_desired == 50


def test_a_surge_is_rejected_until_new_instances_serve() -> None:
    scaling = SCALING.model_copy(update={"target_per_minute": 3000, "max_instances": 10})
    day = simulate(Traffic((40.0,) * 24, parse_surge("6@12:00+30")), SERVER, scaling, COSTS)
    noon = 12 * 60
    # 240 per second on one instance of 100: visible after 3 + 1 minutes, answered 5 minutes later.
    assert (np.flatnonzero(day.rejected_rates > 1) - noon).tolist() == list(range(9))
    assert day.rejected_rates[noon] == pytest.approx(140, abs=0.1)
    assert day.in_service[noon + 9] == 5
    assert day.rejected_per_day == pytest.approx(140 * 9 * 60, rel=0.001)
    assert day.p99_worst_minute_ms > 600  # the queue is full then
    # They stop after 15 minutes below 90 % of the target.
    assert day.in_service[noon + 45] == 5
    assert day.in_service[noon + 47] == 1


def test_a_target_of_10_per_minute_needs_an_instance_per_request_every_6_s() -> None:
    scaling = SCALING.model_copy(update={"target_per_minute": 10, "max_instances": 10**6})
    day = simulate(Traffic((15.0,) * 24), SERVER, scaling, COSTS)
    assert day.instances_max == 90
    assert day.instance_hours_per_day == pytest.approx(90 * 24)
