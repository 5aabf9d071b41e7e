"""The bill of a month, worked out by hand."""

import pytest

from aws import prices
from ops.costs import bill, front
from ops.costs.bill import DAYS, GB, Request
from ops.costs.front import Front
from ops.costs.queueing import Server
from ops.costs.simulation import simulate
from ops.costs.traffic import Traffic
from tests.ops.costs.test_tracking import DELAYS, SCALING

SERVER = Server(workers=2, service_s=0.02, waiting=64)
REQUEST = Request(
    lambda_s=0.3, photo_bytes=100 * 1024, answer_bytes=4096, log_bytes=1000, log_months=1
)


def items(provisioned: int) -> dict[str, bill.Item]:
    """A month of 5 requests a second on one instance."""
    traffic = Traffic((5.0,) * 24)
    day = simulate(traffic, SERVER, SCALING, DELAYS)
    stage = Front("prod", 512, reserved=100, provisioned=provisioned, throttle_rate=None)
    functions = front.concurrency(stage, traffic, REQUEST.lambda_s)
    found = bill.monthly("ml.c6i.large", day, stage, functions, REQUEST, prices.read())
    assert bill.per_million(found, day) == pytest.approx(
        sum(item.usd for item in found) / (5 * 86_400 * DAYS) * 1e6
    )
    return {item.name: item for item in found}


def test_a_month_without_provisioned_functions() -> None:
    found = items(provisioned=0)
    requests = 5 * 86_400 * 365 / 12  # 13.14 million
    assert found["hosting ml.c6i.large"].quantity == pytest.approx(730)
    assert found["hosting ml.c6i.large"].usd == pytest.approx(74.46)
    assert found["lambda requests"].usd == pytest.approx(2.628)
    assert found["lambda duration arm64"].quantity == pytest.approx(requests * 0.3 / 2)
    assert found["lambda duration arm64"].usd == pytest.approx(26.28, abs=0.01)
    assert found["lambda provisioned arm64"].usd == 0
    assert found["api gateway requests"].usd == pytest.approx(45.99)
    assert found["data transfer out"].quantity == pytest.approx(requests * 4096 / GB)
    assert found["hosting data in"].usd == pytest.approx(requests * 102_400 / GB * 0.016)
    assert found["logs ingested"].usd == pytest.approx(requests * 1000 / GB * 0.5)


def test_provisioned_functions_are_paid_for_day_and_night_and_run_cheaper() -> None:
    without, found = items(provisioned=0), items(provisioned=4)
    assert found["lambda provisioned arm64"].quantity == pytest.approx(4 * 0.5 * 730 * 3600)
    on_demand = found["lambda duration arm64"]
    warm = found["lambda duration arm64 on provisioned"]
    assert on_demand.quantity + warm.quantity == pytest.approx(
        without["lambda duration arm64"].quantity
    )
    # Erlang: four places at a load of 1.5 lose 4.8 %.
    share = on_demand.quantity / without["lambda duration arm64"].quantity
    assert share == pytest.approx(0.048, abs=0.001)


def test_a_training_job_on_demand_and_on_spot() -> None:
    job = bill.training_job("ml.g5.xlarge", 2, 3, 100, 0.65, prices.read())
    volume = 0.14 * 100 * 2 * 3 / 730
    assert job.on_demand_usd == pytest.approx(1.408 * 6 + volume)
    assert job.spot_usd == pytest.approx(1.408 * 6 * 0.35 + volume)
