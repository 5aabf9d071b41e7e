"""Tests of the monthly bill and a training job, with values computed by hand."""

import pytest

from aws import prices
from aws.settings import FitSettings
from ops.costs.concurrency import ApiStage
from ops.costs.plan import DAYS_PER_MONTH, Item, Plan
from ops.costs.quantities import GB
from ops.costs.settings import CostsSettings
from ops.costs.traffic import Traffic
from ops.loadtest.settings import LoadTestSettings
from tests.ops.costs.test_target_tracking import SCALING


def plan(provisioned: int = 0) -> Plan:
    """A plan for 5 requests per second on one instance, and two for training."""
    return Plan(
        traffic=Traffic((5.0,) * 24),
        api=ApiStage("prod", 512, reserved=100, provisioned=provisioned, throttle_rate=None),
        instance_types=["ml.c6i.large"],
        measured_rates={"ml.c6i.large": 100},
        scaling=SCALING,
        fit=FitSettings(instance_type="ml.g5.xlarge", instance_count=2, volume_gb=100),
        costs=CostsSettings(
            lambda_ms=300,
            photo_kb=100,
            answer_kb=4,
            log_bytes=1000,
            log_days=DAYS_PER_MONTH,
            job_hours=3,
            spot_saving=0.65,
        ),
        loadtest=LoadTestSettings(),
        prices=prices.read(),
    )


def monthly_bill(provisioned: int) -> dict[str, Item]:
    [candidate] = plan(provisioned).candidates
    usd = sum(item.usd for item in candidate.items)
    assert candidate.usd_per_month == usd
    assert candidate.usd_per_million == pytest.approx(usd / (5 * 86_400 * DAYS_PER_MONTH) * 1e6)
    return {item.name: item for item in candidate.items}


def test_a_month_without_provisioned_functions() -> None:
    items = monthly_bill(provisioned=0)
    requests = 5 * 86_400 * 365 / 12  # 13.14 million
    assert items["hosting ml.c6i.large"].quantity == pytest.approx(730)
    assert items["hosting ml.c6i.large"].usd == pytest.approx(74.46)
    assert items["lambda requests"].usd == pytest.approx(2.628)
    assert items["lambda duration arm64"].quantity == pytest.approx(requests * 0.3 / 2)
    assert items["lambda duration arm64"].usd == pytest.approx(26.28, abs=0.01)
    assert items["lambda provisioned arm64"].usd == 0
    assert items["api gateway requests"].usd == pytest.approx(45.99)
    assert items["data transfer out"].quantity == pytest.approx(requests * 4096 / GB)
    assert items["hosting data in"].usd == pytest.approx(requests * 102_400 / GB * 0.016)
    assert items["logs ingested"].usd == pytest.approx(requests * 1000 / GB * 0.5)
    assert items["logs stored"].quantity == pytest.approx(requests * 1000 / GB)


def test_provisioned_functions_cost_all_day_and_run_cheaper() -> None:
    without, items = monthly_bill(provisioned=0), monthly_bill(provisioned=4)
    assert items["lambda provisioned arm64"].quantity == pytest.approx(4 * 0.5 * 730 * 3600)
    on_demand = items["lambda duration arm64"]
    on_provisioned = items["lambda duration arm64 on provisioned"]
    assert on_demand.quantity + on_provisioned.quantity == pytest.approx(
        without["lambda duration arm64"].quantity
    )
    # Erlang: four places at a load of 1.5 lose 4.8 %.
    share = on_demand.quantity / without["lambda duration arm64"].quantity
    assert share == pytest.approx(0.048, abs=0.001)


def test_a_training_job_on_demand_and_on_spot() -> None:
    job = plan().training_job()
    volume = 0.14 * 100 * 2 * 3 / 730
    assert job["on_demand_usd"] == pytest.approx(1.408 * 6 + volume)
    assert job["spot_usd"] == pytest.approx(1.408 * 6 * 0.35 + volume)
